import eslint from '@eslint/js';
import tseslint from 'typescript-eslint';

/**
 * Imports go in one direction:
 *   main → cli → app → telemetry → worker → scheduling → pipeline → domain
 *          cli → client → pipeline
 * Beside them stand `adapters`, which `app`, `client` and `cli` hand to the others, `records`, and `shadow`, which `app` hands to
 * the worker.
 * A folder may import from itself and from the folders listed for it, and from nothing else of ours.
 */
const mayImport = {
  domain: [],
  tracing: ['domain'],
  records: ['domain'],
  config: ['domain'],
  pipeline: ['tracing', 'domain'],
  scheduling: ['pipeline', 'domain'],
  shadow: ['pipeline', 'tracing', 'domain'],
  worker: ['scheduling', 'pipeline', 'records', 'tracing', 'domain'],
  adapters: ['tracing', 'domain'],
  telemetry: ['worker', 'domain'],
  app: [
    'config',
    'worker',
    'shadow',
    'scheduling',
    'adapters',
    'telemetry',
    'tracing',
    'pipeline',
    'records',
    'domain',
  ],
  client: ['config', 'adapters', 'records', 'pipeline', 'tracing', 'domain'],
  cli: [
    ...['app', 'client', 'config', 'scheduling', 'shadow', 'adapters', 'telemetry', 'tracing', 'pipeline', 'records'],
    'domain',
  ],
};
const folders = ['main', ...Object.keys(mayImport)];
/** Adapters know nothing of each other. */
const adapters = ['pubsub', 'gcs', 'triton', 'files'];

/** The same for scripts/: what one runs while developing serves the experiments and what is released, never the other way. */
const scriptsMayNotImport = { dev: ['lab', 'release'], lab: ['release'], release: ['lab'] };

function restricted(files, regexes, message) {
  const patterns = regexes.map((regex) => ({ regex, message }));
  return { files, rules: { 'no-restricted-imports': ['error', { patterns }] } };
}

function importDirection(folder, allowed) {
  const forbidden = folders.filter((one) => one !== folder && !allowed.includes(one));
  return restricted(
    [`src/${folder}/**/*.ts`],
    [`^(?:\\.\\./)+(?:${forbidden.join('|')})(?:/|\\.js$)`, '/scripts/'],
    `src/${folder} may import only from ${allowed.join(', ')}: see the import direction in eslint.config.js.`,
  );
}

function adaptersApart(adapter) {
  const others = adapters.filter((one) => one !== adapter);
  const forbidden = [...folders.filter((one) => !['adapters', ...mayImport.adapters].includes(one)), ...others];
  return restricted(
    [`src/adapters/${adapter}/**/*.ts`],
    [`^(?:\\.\\./)+(?:${forbidden.join('|')})(?:/|\\.js$)`, '/scripts/'],
    `src/adapters/${adapter} may import only from ${mayImport.adapters.join(', ')}, and from no other adapter.`,
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
  { files: ['src/**/*.ts'], rules: { 'max-lines': ['error', 300], 'max-lines-per-function': ['error', 80] } },
  { files: ['scripts/**/*.ts', 'src/cli/**/*.ts'], rules: { 'no-console': 'off' } },
  { files: ['scripts/**/*.ts', 'test/**/*.ts'], rules: { 'no-restricted-properties': 'off' } },
  ...Object.entries(scriptsMayNotImport).map(([folder, others]) =>
    restricted(
      [`scripts/${folder}/**/*.ts`],
      [`^(?:\\.\\./)+(?:${others.join('|')})/`],
      `scripts/${folder} may not import from ${others.join(' or ')}: lab and release stand on dev alone.`,
    ),
  ),
  ...Object.entries(mayImport).map(([folder, allowed]) => importDirection(folder, allowed)),
  ...adapters.map(adaptersApart),
  { files: ['**/*.js', '**/*.mjs'], extends: [tseslint.configs.disableTypeChecked] },
  {
    files: ['docs/**/*.mjs'],
    languageOptions: { globals: { Buffer: 'readonly', console: 'readonly', process: 'readonly' } },
    rules: { 'no-console': 'off' },
  },
);
