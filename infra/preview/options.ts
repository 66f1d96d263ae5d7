import { parseArgs } from 'node:util';

/** What `npm run preview` was asked to do. */
export type PreviewOptions =
  | { readonly kind: 'help' }
  | { readonly kind: 'preview'; readonly stack: string; readonly json: boolean }
  | { readonly kind: 'mistake'; readonly message: string };

/** Text of `--help`. */
export const HELP = `Usage: npm run preview -- --stack <name> [--json]

Shows every resource that "pulumi up" would create for a stack, with its inputs: the real program, run without the
Pulumi CLI, an account or a network. It compares with nothing, so it also shows what already exists.

  --stack <name>   the stack, as in Pulumi.<name>.yaml
  --json           exactly one JSON object on stdout; progress goes to stderr
                   {"resources": [{"type", "name", "inputs", "parent"}], "outputs"}
                   parent is "<type> <name>" of the component that holds the resource; null: none does
  --help           this text

[unknown] is what only Azure can give, for example an id. [secret] is a secret, [code …] the hash of serialised code.
With npm, say "npm run -s preview" to keep npm's own lines out of stdout.

Exit codes: 0 shown · 1 the program crashed or did not end · 2 a mistake in the command or the configuration
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
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) return { kind: 'help' };
    if (values.stack === undefined || values.stack === '') {
      return { kind: 'mistake', message: `--stack must name a stack. Example: --stack dev\n${NEXT}` };
    }
    return { kind: 'preview', stack: values.stack, json: values.json };
  } catch (error) {
    // parseArgs throws for what it does not know, with a message that is meant for people.
    return { kind: 'mistake', message: `${error instanceof Error ? error.message : String(error)}\n${NEXT}` };
  }
}
