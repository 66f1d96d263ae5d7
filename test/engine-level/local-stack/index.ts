import * as pulumi from '@pulumi/pulumi';
import type { StackOutputs } from '../../../runtime/settings.ts';

/** The outputs of a deployed stack, told by the configuration instead of by resources. */
const outputs = new pulumi.Config('adit').requireObject<StackOutputs>('outputs');

export const { schemaVersion, stage, settings, resourceGroup, functionApp, dashboardUrl } = outputs;
