/** Gives one thing back. */
export type Release = () => Promise<void>;

/** Runs every release once, last opened first, even when one fails; the first error is thrown at the end. */
export async function releaseAll(releases: Release[]): Promise<void> {
  let failure: unknown;
  for (let release = releases.pop(); release !== undefined; release = releases.pop()) {
    try {
      await release();
    } catch (error) {
      failure ??= error;
    }
  }
  if (failure !== undefined) throw failure;
}
