import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import plugin from '@pulumi/pulumi/proto/plugin_pb.js';
import provider from '@pulumi/pulumi/proto/provider_pb.js';
import empty from 'google-protobuf/google/protobuf/empty_pb.js';
import struct, { type JavaScriptValue } from 'google-protobuf/google/protobuf/struct_pb.js';
import { unary } from '../unary.ts';
import type { FakeAzure } from './azure.ts';
import type { Inputs } from './resource-kind.ts';

/**
 * The resource provider service over a fake Azure.
 *
 * The SDK's own `main()` (`@pulumi/pulumi/provider`) is not used: it takes a process of its own and never shows the
 * provider a preview. Here the provider lives in the test's process, so a test looks into Azure and breaks it directly.
 */
export function providerService(azure: FakeAzure, version: string): UntypedServiceImplementation {
  return {
    attach: unary(() => new empty.Empty()),
    cancel: unary(() => new empty.Empty()),
    getPluginInfo: unary(() => new plugin.PluginInfo().setVersion(version)),
    getSchema: unary(() => new provider.GetSchemaResponse().setSchema('{}')),
    checkConfig: unary((request: provider.CheckRequest) => new provider.CheckResponse().setInputs(request.getNews())),
    diffConfig: unary(() => new provider.DiffResponse()),
    configure: unary(() => new provider.ConfigureResponse().setSupportspreview(true)),
    invoke: unary((request: provider.InvokeRequest) =>
      new provider.InvokeResponse().setReturn(structOf(azure.invoke(request.getTok()))),
    ),
    check: unary((request: provider.CheckRequest) => check(azure, request)),
    diff: unary((request: provider.DiffRequest) => diff(azure, request)),
    create: unary((request: provider.CreateRequest) => create(azure, request)),
    read: unary((request: provider.ReadRequest) => read(azure, request)),
    update: unary((request: provider.UpdateRequest) => update(azure, request)),
    delete: unary((request: provider.DeleteRequest) => {
      azure.delete(request.getType(), request.getId());
      return new empty.Empty();
    }),
  };
}

function check(azure: FakeAzure, request: provider.CheckRequest): provider.CheckResponse {
  const { inputs, misfits } = azure.check(
    request.getType(),
    request.getName(),
    inputsOf(request.getNews()),
    inputsOf(request.getOlds()),
  );
  const failures = misfits.map(({ path, reason }) => new provider.CheckFailure().setProperty(path).setReason(reason));
  return new provider.CheckResponse().setInputs(structOf(inputs)).setFailuresList(failures);
}

function diff(azure: FakeAzure, request: provider.DiffRequest): provider.DiffResponse {
  const ignored = new Set(request.getIgnorechangesList());
  const found = azure.diff(request.getType(), inputsOf(request.getOldInputs()), inputsOf(request.getNews()));
  const changed = found.changed.filter((name) => !ignored.has(name));
  const replaces = found.replaces.filter((name) => !ignored.has(name));
  const { DIFF_SOME, DIFF_NONE } = provider.DiffResponse.DiffChanges;
  return (
    new provider.DiffResponse()
      .setChanges(changed.length > 0 ? DIFF_SOME : DIFF_NONE)
      .setDiffsList(changed)
      .setReplacesList(replaces)
      // Names are given by the program, so a new one cannot stand beside the old one.
      .setDeletebeforereplace(replaces.length > 0)
  );
}

function create(azure: FakeAzure, request: provider.CreateRequest): provider.CreateResponse {
  const inputs = inputsOf(request.getProperties());
  if (request.getPreview()) {
    return new provider.CreateResponse().setProperties(structOf(azure.preview(request.getType(), inputs)));
  }
  const { id, outputs } = azure.create(request.getType(), inputs);
  return new provider.CreateResponse().setId(id).setProperties(structOf(outputs));
}

function update(azure: FakeAzure, request: provider.UpdateRequest): provider.UpdateResponse {
  const inputs = inputsOf(request.getNews());
  const outputs = request.getPreview()
    ? azure.preview(request.getType(), inputs, request.getId())
    : azure.update(request.getType(), request.getId(), inputs);
  return new provider.UpdateResponse().setProperties(structOf(outputs));
}

/** What is there now, or an empty answer for what is gone. */
function read(azure: FakeAzure, request: provider.ReadRequest): provider.ReadResponse {
  const held = azure.find(request.getId());
  if (held === undefined) return new provider.ReadResponse();
  return new provider.ReadResponse()
    .setId(held.id)
    .setProperties(structOf(held.outputs))
    .setInputs(structOf(held.inputs));
}

const inputsOf = (value: struct.Struct | undefined): Inputs => value?.toJavaScript() ?? {};

function structOf(value: Inputs): struct.Struct {
  return struct.Struct.fromJavaScript(value as Record<string, JavaScriptValue>);
}
