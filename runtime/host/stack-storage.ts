import type { TokenCredential } from '@azure/identity';
import { type AzureStorage, openStorageAt } from './azure-storage.ts';
import { type BusPlace, readCloud } from './cloud-config.ts';
import type { Environment } from './config.ts';
import { STATE_FOLDER_DEFAULT } from './options.ts';
import { readStackOutputs } from './stack-outputs.ts';

/** Whose ledger and lake: those of a state folder, or of a deployed stack. */
export interface Whereabouts {
  readonly state: string;
  /** Name of the stack; undefined = the state folder. */
  readonly stack: string | undefined;
  readonly environment: Environment;
}

/** Ledger and lake of a stack, and what else its outputs say. */
export interface StackStorage extends AzureStorage {
  readonly bus: BusPlace;
  readonly environment: Environment;
  /** The login of the person; looked for at the first call. */
  readonly credential: () => Promise<TokenCredential>;
}

/** By the outputs of the stack alone, as the person at the keyboard. @throws BadInput */
export async function openStackStorage(stack: string): Promise<StackStorage> {
  const { settings } = await readStackOutputs(stack);
  const { storage, bus, environment } = readCloud(settings, { next: `pulumi up -s ${stack}` });
  let login: Promise<TokenCredential> | undefined;
  // Loading the library of the logins takes longer than all the rest, and an emulator needs none.
  const credential = (): Promise<TokenCredential> =>
    (login ??= import('./person-login.ts').then(({ personLogin }) => personLogin()));
  const opened = await openStorageAt(storage, credential);
  return { ...opened, bus, environment, credential };
}

/** Flags that a person repeats to mean the same place. */
export function placeFlags({ stack, state }: Pick<Whereabouts, 'stack' | 'state'>): string {
  if (stack !== undefined) return ` --stack ${stack}`;
  return state === STATE_FOLDER_DEFAULT ? '' : ` --state ${shellWord(state)}`;
}

/** A text as one word of a shell's command line. */
export function shellWord(text: string): string {
  return /^[\w.,:@%+=/-]+$/.test(text) && !text.startsWith('-') ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
