import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { AnalyzerClient } from '@pulumi/pulumi/proto/analyzer_grpc_pb.js';
import analyzerPb from '@pulumi/pulumi/proto/analyzer_pb.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startAnalyzer } from '../../infra/preview/analyzer.ts';
import { analyzerClient, answerOf } from '../../infra/preview/grpc-client.ts';
import { structMessage } from '../../infra/preview/grpc-server.ts';
import type { RegisteredResource } from '../../infra/preview/registered-resource.ts';
import type { JsonObject } from '../../infra/preview/wire-value.ts';
import { RULES } from '../../policies/rules.ts';
import { rawValues } from '../infra/sample-config.ts';

const RUNNER = join(process.cwd(), 'node_modules/@pulumi/pulumi/cmd/run-policy-pack/index.js');
const UNKNOWN_TEXT = '04da6b54-80e4-46f7-96ec-b56ff0331ba9';

function namespace(inputs: JsonObject): RegisteredResource {
  const type = 'azure-native:servicebus:Namespace';
  return {
    ...{ type, name: 'bus', urn: `urn:pulumi:prod::adit::${type}::bus`, inputs },
    ...{ parentUrn: undefined, isCustom: true, isRead: false, providerUrn: undefined },
    options: { protect: false, retainOnDelete: false, ignoreChanges: [], dependsOn: [], propertyDependencies: {} },
  };
}

const GOOD: JsonObject = {
  sku: { name: 'Standard' },
  disableLocalAuth: true,
  minimumTlsVersion: '1.2',
  tags: { owner: 'data-platform', costCenter: 'cc-0000', stage: 'prod' },
};

describe('the started pack', () => {
  /** What it says about one resource, without the rules about the whole stack. */
  async function said(inputs: JsonObject, changes: Readonly<Record<string, string>> = {}): Promise<readonly string[]> {
    const analyzer = await startAnalyzer({ dir: process.cwd(), stack: 'prod', config: rawValues('prod', changes) });
    try {
      const findings = await analyzer.analyze([namespace(inputs)]);
      const ofResources = new Set(RULES.filter(({ kind }) => kind === 'resource').map(({ name }) => name));
      return findings
        .filter(({ policy }) => ofResources.has(policy))
        .map(({ policy, level, resource, message }) => `${level} ${policy} ${resource}: ${message}`);
    } finally {
      analyzer.close();
    }
  }

  it('serves every rule', async () => {
    const analyzer = await startAnalyzer({ dir: process.cwd(), stack: 'prod', config: rawValues('prod') });
    try {
      expect(await analyzer.policies()).toEqual(['memory', ...RULES.map(({ name }) => name)]);
    } finally {
      analyzer.close();
    }
  });

  it('finds nothing where nothing is wrong', async () => {
    expect(await said(GOOD)).toEqual([]);
  });

  it('says what is wrong, on which resource, and what to do', async () => {
    expect(await said({ ...GOOD, minimumTlsVersion: '1.0' })).toEqual([
      'mandatory tls-minimum azure-native:servicebus:Namespace bus: TLS is 1.2 or newer. Found: ' +
        'minimumTlsVersion must be 1.2 or 1.3, is "1.0". To do: Set minimumTlsVersion to 1.2, ' +
        'which the pack does by itself at the level "remediate".',
    ]);
  });

  it('says what it could not see, refuses nothing for it, and decides on the rest', async () => {
    const findings = await said({ ...GOOD, minimumTlsVersion: '[unknown]', disableLocalAuth: false });
    expect(findings.map((text) => text.slice(0, text.indexOf(':')))).toEqual([
      'mandatory no-local-auth azure-native',
      'advisory tls-minimum azure-native',
    ]);
    expect(findings[1]).toContain('could not see minimumTlsVersion: it is known only after the deployment');
  });

  it('takes its stage and its exceptions from the configuration of the stack', async () => {
    const exception = {
      policy: 'tls-minimum',
      resource: 'bus',
      owner: 'ada',
      reason: 'an old client',
      expires: '2999-12-31',
    };
    const findings = await said(
      { ...GOOD, minimumTlsVersion: '1.0', tags: { owner: 'data-platform', costCenter: 'cc-0000', stage: 'dev' } },
      { 'adit:stage': 'dev', 'adit:exceptions': JSON.stringify([exception]) },
    );
    expect(findings).toEqual([
      expect.stringMatching(/^advisory tls-minimum .*Accepted until 2999-12-31 by ada: an old client$/),
    ]);
  });
});

describe('the pack at the level "remediate"', () => {
  const config = rawValues('prod');
  const child = spawn(process.execPath, [RUNNER, '127.0.0.1:1', join(process.cwd(), 'policies')], {
    cwd: join(process.cwd(), 'policies'),
    env: { PULUMI_CONFIG: JSON.stringify(config), PULUMI_NODEJS_STACK: 'prod' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let client: AnalyzerClient;
  beforeAll(async () => {
    const [port] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    client = analyzerClient(Number(port));
    const levels = new analyzerPb.ConfigureAnalyzerRequest();
    for (const policy of ['tls-minimum', 'cost-tags']) {
      const level = new analyzerPb.PolicyConfig().setProperties(structMessage({}));
      levels.getPolicyconfigMap().set(policy, level.setEnforcementlevel(analyzerPb.EnforcementLevel.REMEDIATE));
    }
    await answerOf((done) => client.configure(levels, done));
  });
  afterAll(() => {
    client.close();
    child.kill('SIGKILL');
  });

  async function remediated(
    inputs: Readonly<Record<string, unknown>>,
  ): Promise<readonly (readonly [string, unknown])[]> {
    const request = new analyzerPb.AnalyzeRequest()
      .setType('azure-native:servicebus:Namespace')
      .setUrn('urn:pulumi:prod::adit::azure-native:servicebus:Namespace::bus')
      .setName('bus')
      .setOptions(new analyzerPb.AnalyzerResourceOptions())
      .setProperties(structMessage(inputs));
    const answer = await answerOf<analyzerPb.RemediateResponse>((done) => client.remediate(request, done));
    return answer
      .getRemediationsList()
      .map((remediation) => [remediation.getPolicyname(), remediation.getProperties()?.toJavaScript()]);
  }

  it('puts TLS and tags right, and leaves the rest as it is, also what is not known yet', async () => {
    const wrong = { ...GOOD, resourceGroupName: UNKNOWN_TEXT, minimumTlsVersion: '1.0', tags: { note: 'kept' } };
    const tags = {
      note: 'kept',
      project: 'adit',
      stack: 'prod',
      stage: 'prod',
      owner: 'data-platform',
      costCenter: 'cc-0000',
    };
    expect(await remediated(wrong)).toEqual([
      ['cost-tags', { ...wrong, tags }],
      ['tls-minimum', { ...wrong, tags, minimumTlsVersion: '1.2' }],
    ]);
  });

  it('touches nothing that is right or not known', async () => {
    expect(await remediated(GOOD)).toEqual([]);
    expect(await remediated({ ...GOOD, minimumTlsVersion: UNKNOWN_TEXT })).toEqual([]);
  });
});

it('a pack that cannot start is a fault with its reason', async () => {
  const dir = join(process.cwd(), 'test/infra/fixtures');
  await expect(startAnalyzer({ dir, stack: 'prod', config: {} })).rejects.toThrow('The policy pack did not start.');
});
