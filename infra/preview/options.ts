import { parseArgs } from 'node:util';

/** What `npm run preview` was asked to do. */
export type PreviewOptions =
  | { readonly kind: 'help' }
  | {
      readonly kind: 'preview';
      readonly stack: string;
      readonly json: boolean;
      /** A git ref, or a file that `--json` wrote; undefined: compare with nothing. */
      readonly against: string | undefined;
    }
  | { readonly kind: 'mistake'; readonly message: string };

/** Text of `--help`. */
export const HELP = `Usage: npm run preview -- --stack <name> [--json] [--against <ref or file>]

Shows every resource that "pulumi up" would create for a stack with its inputs, what they cost a month, and what the
policies in policies/ say: the real program and the real policy pack, run without the Pulumi CLI, an account or a network.

  --stack <name>   the stack, as in Pulumi.<name>.yaml
  --json           exactly one JSON object on stdout; progress goes to stderr
                   {"resources": [{"type", "name", "inputs", "parent"}], "outputs", "monthlyCost", "findings"}
                   parent is "<type> <name>" of the component that holds the resource; null: none does
  --against <what> compare with a git ref, which is planned in a temporary worktree, or with a file that --json wrote;
                   prints the difference as Markdown (with --json: as "difference" of the object)
  --help           this text

[unknown] is what only Azure can give, for example an id. [secret] is a secret, [code …] the hash of serialised code.
With npm, say "npm run -s preview" to keep npm's own lines out of stdout.

Exit codes: 0 shown · 1 a policy refuses it, or the program crashed or did not end · 2 a mistake in the command, the
configuration, the ref or the file
`;

const NEXT = 'Next: npm run preview -- --help';

/** Reads the command line. */
export function readPreviewOptions(args: readonly string[]): PreviewOptions {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        stack: { type: 'string' },
        json: { type: 'boolean', default: false },
        against: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) return { kind: 'help' };
    if (values.stack === undefined || values.stack === '') {
      return { kind: 'mistake', message: `--stack must name a stack. Example: --stack dev\n${NEXT}` };
    }
    if (values.against === '') {
      return { kind: 'mistake', message: `--against must name a git ref or a file. Example: --against main\n${NEXT}` };
    }
    return { kind: 'preview', stack: values.stack, json: values.json, against: values.against };
  } catch (error) {
    // parseArgs throws for what it does not know, with a message that is meant for people.
    return { kind: 'mistake', message: `${error instanceof Error ? error.message : String(error)}\n${NEXT}` };
  }
}
