import type { BoxCounts } from './box.ts';
import type { Node } from './nodes.ts';
import type { Rule } from './rules.ts';

const CONNECT = 'http://schemas.microsoft.com/netservices/2010/10/servicebus/connect';
const COUNTS = 'http://schemas.microsoft.com/netservices/2011/06/servicebus';
const ATOM = 'http://www.w3.org/2005/Atom';

/** Azure's way of saying "for ever", the longest .NET TimeSpan. */
const FOR_EVER = 'P10675199DT2H48M5.4775807S';

/** Size that a client is told as the limit of an entity. The real limit is the disk. */
const MAX_SIZE_MEGABYTES = 1_024;

/** What an entry tells about the broker around the entity. */
export interface Frame {
  /** `http://host:port`. */
  readonly base: string;
  readonly startedAtMs: number;
}

/** An element with text, or nothing for an absent value. */
function element(name: string, value: string | number | boolean | undefined): string {
  return value === undefined ? '' : `<${name}>${escapeXml(String(value))}</${name}>`;
}

/** Text for element content and attributes. */
export function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

/** One entry as a whole document. */
export function entryDocument(frame: Frame, path: string, content: string): string {
  return `<?xml version="1.0" encoding="utf-8"?>${entry(frame, path, content, ` xmlns="${ATOM}"`)}`;
}

/** A page of entries; `nextPath` is where the following page is, when there is one. */
export function feedDocument(
  frame: Frame,
  path: string,
  entries: readonly string[],
  nextPath: string | undefined,
): string {
  const next = nextPath === undefined ? '' : `<link rel="next" href="${escapeXml(`${frame.base}/${nextPath}`)}"/>`;
  const links = `<link rel="self" href="${escapeXml(`${frame.base}/${path}`)}"/>${next}`;
  const id = element('id', `${frame.base}/${path}`);
  return `<?xml version="1.0" encoding="utf-8"?><feed xmlns="${ATOM}">${id}${links}${entries.join('')}</feed>`;
}

/** An error as clients read it. */
export function errorDocument(status: number, detail: string): string {
  return `<?xml version="1.0" encoding="utf-8"?><Error>${element('Code', status)}${element('Detail', detail)}</Error>`;
}

/** One entry: an entity's path and its description. `attributes` are those of the element. */
export function entry(frame: Frame, path: string, content: string, attributes = ''): string {
  const times = element('published', dateOf(frame)) + element('updated', dateOf(frame));
  const head = element('id', `${frame.base}/${path}`) + element('title', path) + times;
  return `<entry${attributes}>${head}<content type="application/xml">${content}</content></entry>`;
}

function dateOf(frame: Frame): string {
  return new Date(frame.startedAtMs).toISOString();
}

/** The description of an entity with its counts. The order of the elements is Azure's. */
export function describe(frame: Frame, node: Node): string {
  if (node.kind === 'topic') return topicDescription(frame, node);
  const { entity } = node;
  const dedupMs = entity.kind === 'queue' ? entity.duplicateDetectionMs : 0;
  const [root, isQueue] = node.kind === 'queue' ? ['QueueDescription', true] : ['SubscriptionDescription', false];
  const dedup =
    element('RequiresDuplicateDetection', dedupMs > 0) +
    element('DuplicateDetectionHistoryTimeWindow', durationText(dedupMs === 0 ? 600_000 : dedupMs));
  const main = node.main.counts();
  const dead = node.dead.counts().active;
  const stranded = node.transfer.counts().active;
  const parts = [
    element('LockDuration', durationText(entity.lockDurationMs)),
    isQueue ? element('MaxSizeInMegabytes', MAX_SIZE_MEGABYTES) + dedup : '',
    element('RequiresSession', entity.requiresSession),
    element('DefaultMessageTimeToLive', durationText(entity.defaultTtlMs)),
    element('DeadLetteringOnMessageExpiration', entity.deadLetterOnExpiry),
    isQueue ? '' : element('DeadLetteringOnFilterEvaluationExceptions', false),
    element('MaxDeliveryCount', entity.maxDeliveryCount),
    element('EnableBatchedOperations', true),
    isQueue ? element('SizeInBytes', 0) : '',
    element('MessageCount', main.active + main.scheduled + dead + stranded),
    element('Status', 'Active'),
    element('ForwardTo', entity.forwardTo),
    times(frame),
    counts(main, dead, stranded),
    element('AutoDeleteOnIdle', FOR_EVER),
    element('EnablePartitioning', false),
    element('EntityAvailabilityStatus', 'Available'),
    element('EnableExpress', false),
  ];
  return `<${root} xmlns="${CONNECT}">${parts.join('')}</${root}>`;
}

function topicDescription(frame: Frame, node: Extract<Node, { kind: 'topic' }>): string {
  const { entity } = node;
  const dedupMs = entity.duplicateDetectionMs;
  const parts = [
    element('DefaultMessageTimeToLive', durationText(entity.defaultTtlMs)),
    element('MaxSizeInMegabytes', MAX_SIZE_MEGABYTES),
    element('RequiresDuplicateDetection', dedupMs > 0),
    element('DuplicateDetectionHistoryTimeWindow', durationText(dedupMs === 0 ? 600_000 : dedupMs)),
    element('EnableBatchedOperations', true),
    element('SizeInBytes', 0),
    element('Status', 'Active'),
    times(frame),
    element('SupportOrdering', true),
    counts(node.main.counts(), 0, 0),
    element('SubscriptionCount', node.subscriptions.length),
    element('AutoDeleteOnIdle', FOR_EVER),
    element('EnablePartitioning', false),
    element('EntityAvailabilityStatus', 'Available'),
    element('EnableExpress', false),
  ];
  return `<TopicDescription xmlns="${CONNECT}">${parts.join('')}</TopicDescription>`;
}

function times(frame: Frame): string {
  const date = dateOf(frame);
  return element('CreatedAt', date) + element('UpdatedAt', date) + element('AccessedAt', date);
}

/** The element carries exactly one namespace prefix: clients take the prefix of its children from it. */
function counts(main: BoxCounts, dead: number, stranded: number): string {
  const parts =
    element('d2p1:ActiveMessageCount', main.active) +
    element('d2p1:DeadLetterMessageCount', dead) +
    element('d2p1:ScheduledMessageCount', main.scheduled) +
    element('d2p1:TransferMessageCount', 0) +
    element('d2p1:TransferDeadLetterMessageCount', stranded);
  return `<CountDetails xmlns:d2p1="${COUNTS}">${parts}</CountDetails>`;
}

/** The description of a rule. */
export function describeRule(frame: Frame, rule: Rule): string {
  const xsi = 'xmlns:i="http://www.w3.org/2001/XMLSchema-instance"';
  const action =
    rule.action === null
      ? `<Action i:type="EmptyRuleAction" ${xsi}/>`
      : `<Action i:type="SqlRuleAction" ${xsi}>${element('SqlExpression', rule.action)}</Action>`;
  const name = element('Name', rule.name);
  const parts = `<Filter ${filterXml(rule, xsi)}</Filter>${action}${element('CreatedAt', dateOf(frame))}${name}`;
  return `<RuleDescription xmlns="${CONNECT}">${parts}</RuleDescription>`;
}

function filterXml({ filter }: Rule, xsi: string): string {
  if (filter.kind === 'sql') return `i:type="SqlFilter" ${xsi}>${element('SqlExpression', filter.expression)}`;
  const names: Readonly<Record<string, string>> = {
    CorrelationId: 'correlation-id',
    MessageId: 'message-id',
    To: 'to',
    ReplyTo: 'reply-to',
    Label: 'label',
    SessionId: 'session-id',
    ReplyToSessionId: 'reply-to-session-id',
    ContentType: 'content-type',
  };
  const fields = Object.entries(names).map(([name, field]) => element(name, filter.fields[field]));
  return `i:type="CorrelationFilter" ${xsi}>${fields.join('')}`;
}

/** The description of the namespace. */
export function describeNamespace(frame: Frame): string {
  const date = dateOf(frame);
  const parts =
    element('CreatedTime', date) +
    element('MessagingSKU', 'Standard') +
    element('ModifiedTime', date) +
    element('Name', 'local');
  return `<NamespaceInfo xmlns="${CONNECT}">${parts}<NamespaceType>Messaging</NamespaceType></NamespaceInfo>`;
}

/** ISO 8601, in seconds. `undefined` = for ever. */
function durationText(durationMs: number | undefined): string {
  return durationMs === undefined ? FOR_EVER : `PT${durationMs / 1_000}S`;
}
