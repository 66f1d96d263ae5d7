import { DefaultAzureCredential, type TokenCredential } from '@azure/identity';
import { BadInput } from './bad-input.ts';

/** Any data plane of a stack would do to find out whether there is a login at all. */
const SCOPE = 'https://storage.azure.com/.default';

/** What the command line of Azure says, or Entra itself, is worth more than what the other ways to log in say of themselves. */
const TELLING = /AADSTS\d+|Azure CLI/;

/** Letters of a reason that are shown. */
const SHOWN_LENGTH = 300;

/**
 * The login of the person at the keyboard: `az login`, `azd auth login`, or what CI has set in the environment.
 * @throws BadInput when there is none, or it has expired.
 */
export async function personLogin(): Promise<TokenCredential> {
  const credential = new DefaultAzureCredential();
  try {
    await credential.getToken(SCOPE);
  } catch (cause) {
    throw new BadInput(`there is no Azure login that works: ${whyNot(cause)}\nNext: az login`, { cause });
  }
  return credential;
}

function whyNot(error: unknown): string {
  const { errors = [] } = error as { errors?: readonly unknown[] };
  const texts = [...errors, error].map((one) => (one instanceof Error ? one.message : String(one)));
  const telling = texts.find((text) => TELLING.test(text)) ?? texts.at(-1) ?? '';
  return telling.split('\n', 1)[0]?.slice(0, SHOWN_LENGTH) ?? '';
}
