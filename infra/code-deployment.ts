import * as pulumi from '@pulumi/pulumi';
import type { CodeDeploymentValues } from './publish-archive.ts';

/** What `CodeDeployment` takes. Pass the outputs of the app, so that a replaced app gets its code again. */
export type CodeDeploymentArgs = {
  readonly [Name in keyof CodeDeploymentValues]: pulumi.Input<CodeDeploymentValues[Name]>;
};

type Values = Readonly<Record<string, unknown>>;

/*
 * Pulumi stores the text of these functions in the state and runs it in a process of its own. So they use nothing of
 * this module but each other, name no path, and load the real work from the folder that the process runs in: the root
 * of the repository. A change of their text alone is not a change of the resource.
 */

async function publishFromHere(values: Values): Promise<void> {
  const { pathToFileURL } = await import('node:url');
  const url = pathToFileURL(`${process.cwd()}/infra/publish-archive.ts`).href;
  const { publishArchive } = (await import(url)) as { publishArchive: (inputs: Values) => Promise<void> };
  await publishArchive(values);
}

/** A host that is not known yet, in a preview, says nothing. */
function hasMoved(before: unknown, after: unknown): boolean {
  return before !== after && after !== '04da6b54-80e4-46f7-96ec-b56ff0331ba9';
}

const PROVIDER: pulumi.dynamic.ResourceProvider<Values, Values> = {
  async diff(_id, before, after) {
    // An app that is about to be replaced has a name that is not known yet, which is a replacement here as well.
    const replaces = before['appName'] === after['appName'] ? [] : ['appName'];
    const isOther = before['archiveHash'] !== after['archiveHash'] || before['version'] !== after['version'];
    const isElsewhere =
      hasMoved(before['hostname'], after['hostname']) || hasMoved(before['scmHostname'], after['scmHostname']);
    return { changes: replaces.length > 0 || isOther || isElsewhere, replaces, deleteBeforeReplace: true };
  },

  async create(values) {
    await publishFromHere(values);
    return { id: String(values['appName']), outs: values };
  },

  async update(_id, _before, values) {
    await publishFromHere(values);
    return { outs: values };
  },
};

/**
 * The code of a function app. Created or updated when the archive, its version or the place of the app changes, never
 * in a preview; deleting it leaves the code where it is, because it goes with the app.
 */
export class CodeDeployment extends pulumi.dynamic.Resource {
  /** Version that the app answered with once the code was there. */
  declare readonly version: pulumi.Output<string>;

  constructor(name: string, args: CodeDeploymentArgs, options?: pulumi.CustomResourceOptions) {
    super(PROVIDER, name, { ...args }, options);
  }
}
