import { BadInput } from './bad-input.ts';

/** What a storage account answers to somebody who has no role there. `what`: the table or container, for people. */
export function storageRefusal(error: unknown, what: string): BadInput | undefined {
  const { statusCode } = error as { statusCode?: number };
  if (statusCode !== 401 && statusCode !== 403) return undefined;
  return new BadInput(
    `${what} is not open to this login (${statusCode}). Next: have the role "Storage Table Data Contributor" on the stack's storage account; a dev stack gives it to its developers: pulumi config set --path 'developers[0]' <object id>, then pulumi up`,
    { cause: error },
  );
}
