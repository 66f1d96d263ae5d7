import { app, type ServiceBusQueueFunctionOptions } from '@azure/functions';
import type { FunctionDeclaration, TimerTask } from '../core/functions.ts';
import type { FunctionsApp } from './functions-app.ts';
import { incomingMessage } from './functions-message.ts';
import { safeError, safeJson } from './redaction.ts';

/** Name of the connection in the app's settings: `ServiceBus__fullyQualifiedNamespace` and its like. */
const BUS_CONNECTION = 'ServiceBus';

/** The host reads this option although the types of @azure/functions 4.16.5 do not know it (its issue 72). */
interface BinaryQueueOptions extends ServiceBusQueueFunctionOptions {
  readonly dataType: 'binary';
}

/** Registers every declared function with the Functions host. Nothing is opened. */
export function registerFunctions(
  declarations: readonly FunctionDeclaration[],
  running: FunctionsApp,
  version: string,
): void {
  for (const declaration of declarations) {
    if (declaration.kind === 'queue') registerQueue(declaration.name, declaration.queue, running);
    else if (declaration.kind === 'timer') registerTimer(declaration, running);
    else registerHttp(declaration, running, version);
  }
  app.hook.appTerminate(() => running.stop());
}

/** One message per invocation, settled by itself: what throws is abandoned, and the queue counts its deliveries. */
function registerQueue(name: string, queueName: string, running: FunctionsApp): void {
  const options: BinaryQueueOptions = {
    connection: BUS_CONNECTION,
    queueName,
    cardinality: 'one',
    dataType: 'binary',
    handler: (body, context) =>
      guarded(() => running.handle(queueName, incomingMessage(body, context.triggerMetadata ?? {}))),
  };
  app.serviceBusQueue(name, options);
}

function registerTimer(declaration: Extract<FunctionDeclaration, { kind: 'timer' }>, running: FunctionsApp): void {
  const { name, schedule, task } = declaration;
  app.timer(name, { schedule, handler: () => guarded(() => runTask(task, running)) });
}

/** The host writes what a function throws into its log and its telemetry, with stack and causes. */
async function guarded(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    throw safeError(error);
  }
}

function runTask(task: TimerTask, running: FunctionsApp): Promise<void> {
  return task.kind === 'fire' ? running.fire(task.minerName) : running.monitor();
}

function registerHttp(
  declaration: Extract<FunctionDeclaration, { kind: 'http' }>,
  running: FunctionsApp,
  version: string,
): void {
  const { name, route, isAnonymous } = declaration;
  const headers = { 'cache-control': 'no-store' };
  app.http(name, {
    route,
    methods: ['GET'],
    authLevel: isAnonymous ? 'anonymous' : 'function',
    handler: async () => {
      if (isAnonymous) return { status: 200, headers, jsonBody: { version } };
      const { isWell, report } = await running.health();
      const body = safeJson(report);
      return { status: isWell ? 200 : 503, headers: { ...headers, 'content-type': 'application/json' }, body };
    },
  });
}
