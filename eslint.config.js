import eslint from '@eslint/js';
import tseslint from 'typescript-eslint';

/**
 * The house has one direction of imports:
 *   main → cli → app → {adapters, worker} → pipeline → domain
 * A folder may import from itself and from the folders listed for it, and from nothing else of ours.
 * `telemetry` stands beside the adapters: only the composition root hands it to the others. `spans` is what they say of
 * their work in a trace.
 */
const rooms = [
  'main',
  'cli',
  'app',
  'routes',
  'watches',
  'config',
  'worker',
  'pubsub',
  'gcs',
  'triton',
  'telemetry',
  'spans',
  'pipeline',
  'domain',
];
const mayImport = {
  domain: ['domain'],
  pipeline: ['pipeline', 'spans', 'domain'],
  worker: ['worker', 'pipeline', 'spans', 'domain'],
  'adapters/pubsub': ['pubsub', 'spans', 'domain'],
  'adapters/gcs': ['gcs', 'domain'],
  'adapters/triton': ['triton', 'spans', 'domain'],
  telemetry: ['telemetry', 'worker', 'domain'],
};

/** The same for scripts/: what one runs while developing serves the experiments and what is released, never the other way. */
const scriptsMayNotImport = { dev: ['lab', 'release'], lab: ['release'], release: ['lab'] };

function restricted(files, regex, message) {
  return { files, rules: { 'no-restricted-imports': ['error', { patterns: [{ regex, message }] }] } };
}

function importDirection(folder, allowed) {
  const forbidden = rooms.filter((room) => !allowed.includes(room)).join('|');
  return restricted(
    [`src/${folder}/**/*.ts`],
    `^(?:\\.\\./)+(?:(?:adapters/)?(?:${forbidden})(?:/|\\.js$)|scripts/)`,
    `src/${folder} may import only from ${allowed.join(', ')}: see the import direction in eslint.config.js.`,
  );
}

export default tseslint.config(
  { ignores: ['dist/', '.imagen/', 'coverage/'] },
  eslint.configs.recommended,
  tseslint.configs.strictTypeChecked,
  tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: { allowDefaultProject: ['eslint.config.js'] } } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/consistent-type-definitions': 'off',
      eqeqeq: 'error',
      'no-console': 'error',
      'no-restricted-properties': [
        'error',
        {
          object: 'AbortSignal',
          property: 'any',
          message: 'It leaks where one signal lives long: use anyOf of src/domain/signals.ts.',
        },
      ],
    },
  },
  { files: ['scripts/**/*.ts', 'src/cli/**/*.ts'], rules: { 'no-console': 'off' } },
  { files: ['scripts/**/*.ts', 'test/**/*.ts'], rules: { 'no-restricted-properties': 'off' } },
  restricted(
    ['src/**/*.ts'],
    '/scripts/',
    'src may not import scripts: what is shipped needs nothing of what builds and tries it.',
  ),
  ...Object.entries(scriptsMayNotImport).map(([folder, others]) =>
    restricted(
      [`scripts/${folder}/**/*.ts`],
      `^(?:\\.\\./)+(?:${others.join('|')})/`,
      `scripts/${folder} may not import from ${others.join(' or ')}: lab and release stand on dev alone.`,
    ),
  ),
  ...Object.entries(mayImport).map(([folder, allowed]) => importDirection(folder, allowed)),
  { files: ['**/*.js'], extends: [tseslint.configs.disableTypeChecked] },
);
