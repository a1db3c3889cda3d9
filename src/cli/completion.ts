import { Argument, type Command as AnyCommand, Command } from 'commander';
import { printText } from './output.js';
import { withHelp } from './usage.js';

const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

/** Words that may follow: for the empty path the commands, else a command's subcommands and options. */
type Words = ReadonlyMap<string, readonly string[]>;

/** @param all makes every command, to read their names and options */
export function completionCommand(all: () => Promise<readonly AnyCommand[]>): Command {
  const command = new Command('completion')
    .addArgument(new Argument('<shell>').choices(SHELLS))
    .action(async (shell: Shell) => {
      const words = wordsOf(await all());
      printText(shell === 'fish' ? fish(words) : bash(words, shell));
    });
  return withHelp(
    command,
    [
      'completion bash >> ~/.bashrc',
      'completion zsh >> ~/.zshrc',
      'completion fish > ~/.config/fish/completions/imagen.fish',
    ],
    {},
  );
}

function wordsOf(commands: readonly AnyCommand[]): Words {
  const words = new Map<string, readonly string[]>([['', commands.map((command) => command.name())]]);
  const add = (command: AnyCommand, path: string) => {
    const options = command.options.flatMap(({ long }) => long ?? []);
    words.set(path, [...command.commands.map((one) => one.name()), ...options, '--help']);
    for (const one of command.commands) add(one, `${path} ${one.name()}`);
  };
  for (const command of commands) add(command, command.name());
  return words;
}

/** File names complete wherever no word fits. */
function bash(words: Words, shell: 'bash' | 'zsh'): string {
  const cases = [...words].map(([path, next]) => `    '${path}') words='${next.join(' ')}' ;;`);
  return [
    ...(shell === 'zsh' ? ['autoload -U +X bashcompinit && bashcompinit'] : []),
    '_imagen() {',
    '  local word path="" words="" i',
    '  for ((i = 1; i < COMP_CWORD; i++)); do',
    '    word="${COMP_WORDS[i]}"',
    '    case "$word" in -*) break ;; esac',
    '    path="${path:+$path }$word"',
    '  done',
    '  while :; do',
    '    case "$path" in',
    ...cases.map((line) => `  ${line}`),
    '    esac',
    '    [ -n "$words" ] && break',
    '    case "$path" in *" "*) path="${path% *}" ;; *) break ;; esac',
    '  done',
    '  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))',
    '}',
    'complete -o default -F _imagen imagen',
  ].join('\n');
}

function fish(words: Words): string {
  const lines = [...words].flatMap(([path, next]) => {
    const [first, second] = path.split(' ');
    const seen = [first, second].flatMap((word) =>
      word === undefined || word === '' ? [] : `__fish_seen_subcommand_from ${word}`,
    );
    const when = seen.length === 0 ? '__fish_use_subcommand' : seen.join('; and ');
    return next.map((word) =>
      word.startsWith('--')
        ? `complete -c imagen -n '${when}' -l ${word.slice(2)}`
        : `complete -c imagen -n '${when}' -a ${word}`,
    );
  });
  return lines.join('\n');
}
