import { stripVTControlCharacters } from 'node:util';
import { EngineService, type IEngineServer } from '@pulumi/pulumi/proto/engine_grpc_pb.js';
import enginePb from '@pulumi/pulumi/proto/engine_pb.js';
import { type IResourceMonitorServer, ResourceMonitorService } from '@pulumi/pulumi/proto/resource_grpc_pb.js';
import type {
  ReadResourceRequest,
  RegisterResourceRequest,
  ResourceInvokeRequest,
} from '@pulumi/pulumi/proto/resource_pb.js';
import resourcePb from '@pulumi/pulumi/proto/resource_pb.js';
import { emptyMessage, type ListeningServer, serve, structMessage, unary } from './grpc-server.ts';
import { Recording, type RecordingOptions, ZERO_GUID } from './recording.ts';
import type { Diagnostic, ResourceOptions } from './registered-resource.ts';

/** Lines of a program's log that are kept. */
const DIAGNOSTICS_LIMIT = 1000;

/** What the SDK may send. It checks some of the rest by itself, and refuses it with a message of its own. */
const FEATURES = [
  resourcePb.ResourceMonitorFeature.RESOURCE_MONITOR_FEATURE_SECRETS,
  resourcePb.ResourceMonitorFeature.RESOURCE_MONITOR_FEATURE_RESOURCE_REFERENCES,
  resourcePb.ResourceMonitorFeature.RESOURCE_MONITOR_FEATURE_OUTPUT_VALUES,
  resourcePb.ResourceMonitorFeature.RESOURCE_MONITOR_FEATURE_ALIAS_SPECS,
  resourcePb.ResourceMonitorFeature.RESOURCE_MONITOR_FEATURE_REPLACEMENT_TRIGGER,
  resourcePb.ResourceMonitorFeature.RESOURCE_MONITOR_FEATURE_DELETED_WITH,
  resourcePb.ResourceMonitorFeature.RESOURCE_MONITOR_FEATURE_REPLACE_WITH,
  resourcePb.ResourceMonitorFeature.RESOURCE_MONITOR_FEATURE_TRANSFORMS,
  resourcePb.ResourceMonitorFeature.RESOURCE_MONITOR_FEATURE_PARAMETERIZATION,
  resourcePb.ResourceMonitorFeature.RESOURCE_MONITOR_FEATURE_RESOURCE_HOOKS,
  resourcePb.ResourceMonitorFeature.RESOURCE_MONITOR_FEATURE_ERROR_HOOKS,
];

/** Functions of providers that can be answered without asking a cloud. */
const INVOKES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'azure-native:authorization:getClientConfig': {
    clientId: ZERO_GUID,
    objectId: ZERO_GUID,
    subscriptionId: ZERO_GUID,
    tenantId: ZERO_GUID,
  },
};

/** What a program talks to instead of the engine: answers, creates nothing, and writes everything down. */
export interface Monitor extends ListeningServer {
  readonly recording: Recording;
  /** The program's log, without what is for debugging. */
  readonly diagnostics: readonly Diagnostic[];
}

/** Starts a monitor; the caller closes it. */
export async function startMonitor(options: RecordingOptions): Promise<Monitor> {
  const recording = new Recording(options);
  const diagnostics: Diagnostic[] = [];
  const server = await serve([
    { definition: ResourceMonitorService, implementation: monitorService(recording) },
    { definition: EngineService, implementation: engineService(diagnostics) },
  ]);
  return { ...server, recording, diagnostics };
}

function monitorService(recording: Recording): IResourceMonitorServer {
  return {
    getDeploymentInfo: unary(() => new resourcePb.DeploymentInfo().setSupportedfeaturesList(FEATURES)),
    // Only asked for by an SDK that found no getDeploymentInfo.
    supportsFeature: unary(() => new resourcePb.SupportsFeatureResponse().setHassupport(false)),
    registerResource: unary((request) => registerResource(recording, request)),
    registerResourceOutputs: unary((request) => {
      recording.finish(request.getUrn(), request.getOutputs()?.toJavaScript() ?? {});
      return emptyMessage();
    }),
    readResource: unary((request) => readResource(recording, request)),
    existsResource: unary(refuse('a look whether a resource exists')),
    invoke: unary(invoke),
    call: unary((request) => refuse(`the call of ${request.getTok()}`)()),
    registerStackTransform: unary(refuse('a transform of the stack')),
    registerStackInvokeTransform: unary(refuse('a transform of functions')),
    registerResourceHook: unary(() => emptyMessage()),
    registerErrorHook: unary(() => emptyMessage()),
    registerPackage: unary((request) => new resourcePb.RegisterPackageResponse().setRef(request.getName())),
    signalAndWaitForShutdown: unary(() => emptyMessage()),
  };
}

function engineService(diagnostics: Diagnostic[]): IEngineServer {
  let rootUrn = '';
  return {
    log: unary((request) => {
      const severity = severityOf(request.getSeverity());
      if (severity !== undefined && diagnostics.length < DIAGNOSTICS_LIMIT) {
        // The SDK colours the stack of an exception, also where nobody sees colours.
        const message = stripVTControlCharacters(request.getMessage()).trimEnd();
        diagnostics.push({ severity, message, urn: request.getUrn() || undefined });
      }
      return emptyMessage();
    }),
    getRootResource: unary(() => new enginePb.GetRootResourceResponse().setUrn(rootUrn)),
    setRootResource: unary((request) => {
      rootUrn = request.getUrn();
      return new enginePb.SetRootResourceResponse();
    }),
    startDebugging: unary(() => emptyMessage()),
    requirePulumiVersion: unary(() => new enginePb.RequirePulumiVersionResponse()),
  };
}

function severityOf(severity: enginePb.LogSeverity): Diagnostic['severity'] | undefined {
  switch (severity) {
    case enginePb.LogSeverity.ERROR:
      return 'error';
    case enginePb.LogSeverity.WARNING:
      return 'warning';
    case enginePb.LogSeverity.INFO:
      return 'info';
    default:
      return undefined;
  }
}

/** A handler for what cannot be answered without the engine or the cloud. */
function refuse(what: string): () => never {
  return () => {
    throw new Error(`a preview without Pulumi and Azure cannot answer ${what}`);
  };
}

function registerResource(recording: Recording, request: RegisterResourceRequest): resourcePb.RegisterResourceResponse {
  if (request.getRemote()) refuse(`for the remote component ${request.getType()}`)();
  if (request.getTransformsList().length > 0) refuse('for the option "transforms" (but "transformations" work)')();
  const state = recording.register({
    type: request.getType(),
    name: request.getName(),
    parentUrn: request.getParent(),
    isCustom: request.getCustom(),
    id: request.getImportid(),
    isRead: false,
    inputs: request.getObject()?.toJavaScript() ?? {},
    providerRef: request.getProvider(),
    options: optionsOf(request),
  });
  const response = new resourcePb.RegisterResourceResponse();
  return response.setUrn(state.urn).setId(state.id).setObject(structMessage(state.outputs));
}

function optionsOf(request: RegisterResourceRequest): ResourceOptions {
  const byInput = [...request.getPropertydependenciesMap().entries()] as readonly (readonly [
    string,
    RegisterResourceRequest.PropertyDependencies,
  ])[];
  return {
    protect: request.getProtect() ?? false,
    retainOnDelete: request.getRetainondelete() ?? false,
    ignoreChanges: request.getIgnorechangesList(),
    dependsOn: request.getDependenciesList(),
    propertyDependencies: Object.fromEntries(byInput.map(([input, urns]) => [input, urns.getUrnsList()])),
  };
}

function readResource(recording: Recording, request: ReadResourceRequest): resourcePb.ReadResourceResponse {
  const { urn, outputs } = recording.register({
    type: request.getType(),
    name: request.getName(),
    parentUrn: request.getParent(),
    isCustom: true,
    id: request.getId(),
    isRead: true,
    inputs: request.getProperties()?.toJavaScript() ?? {},
    providerRef: request.getProvider(),
    options: {
      protect: false,
      retainOnDelete: false,
      ignoreChanges: [],
      dependsOn: request.getDependenciesList(),
      propertyDependencies: {},
    },
  });
  return new resourcePb.ReadResourceResponse().setUrn(urn).setProperties(structMessage(outputs));
}

function invoke(request: ResourceInvokeRequest): resourcePb.ResourceInvokeResponse {
  const answer = INVOKES[request.getTok()] ?? refuse(`the function ${request.getTok()}`)();
  return new resourcePb.ResourceInvokeResponse().setReturn(structMessage(answer));
}
