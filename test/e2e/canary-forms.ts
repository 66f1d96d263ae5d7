import { findCanary } from '../core/secret-search.ts';
import { CANARY, KNOWN_FORMS, NAMED_FORMS } from '../core/secret-samples.ts';

/** What a process of the test knows. */
export const SECRET = `${CANARY}-4f9X.q~2_Zz`;

/** All forms: those of known values, then those that say themselves what they are. */
export const FORMS = [...KNOWN_FORMS, ...NAMED_FORMS];

/** Where the forms begin that need nobody to know them. */
export const FIRST_NAMED = KNOWN_FORMS.length;

/** Stands before the form with this number, and comes out whatever is masked behind it. */
export function tagOf(form: number): string {
  return `#form-${form}#`;
}

/** The form with this number around a secret, behind its tag. */
export function saidForm(form: number, secret: string = SECRET): string {
  return `${tagOf(form)} ${FORMS[form]?.text(secret) ?? ''}`;
}

/** All of them around the one secret. */
export function saidForms(): readonly string[] {
  return FORMS.map((_, form) => saidForm(form));
}

/** What came out of one exit. */
export interface ExitCount {
  readonly exit: string;
  /** Forms that went through it. */
  readonly forms: number;
  readonly found: readonly string[];
}

/** Counts what came out: forms by their tags, canaries by every trace of them. */
export function countExit(exit: string, text: string): ExitCount {
  const forms = FORMS.filter((_, form) => text.includes(tagOf(form))).length;
  return { exit, forms, found: findCanary(text) };
}
