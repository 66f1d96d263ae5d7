import { expect, test } from 'vitest';
import { hostJson } from '../../infra/host-json.ts';
import { SETTINGS } from '../../runtime/settings.ts';

const { extensions, ...rest } = hostJson();

/** `hh:mm:ss` in ms. */
function msOf(text: string): number {
  const [hours = 0, minutes = 0, seconds = 0] = text.split(':').map(Number);
  return ((hours * 60 + minutes) * 60 + seconds) * 1000;
}

/** Every key of an object, at every depth. */
function keysOf(value: unknown): readonly string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [key, ...keysOf(inner)]);
}

test('the host takes as many messages at once as the settings say', () => {
  expect(extensions.serviceBus).toEqual({
    prefetchCount: 0,
    maxConcurrentCalls: SETTINGS.miningConcurrency.cloud,
    autoCompleteMessages: true,
    maxAutoLockRenewalDuration: '00:05:00',
  });
  expect(extensions.serviceBus.maxConcurrentCalls).toBe(32);
});

test('a slice ends before its lock is no longer renewed, and that before the function is ended', () => {
  const renewalMs = msOf(extensions.serviceBus.maxAutoLockRenewalDuration);
  expect(renewalMs).toBe(300_000);
  expect(SETTINGS.sliceMs.cloud + SETTINGS.callTimeoutMs.cloud).toBeLessThan(renewalMs);
  expect(SETTINGS.sliceMs.max).toBeLessThan(renewalMs);
  expect(renewalMs).toBeLessThan(msOf(rest.functionTimeout));
  expect(rest.functionTimeout).toBe('00:10:00');
});

test('the keys are those of extension 5; the article prints those of extension 4, which it ignores', () => {
  expect(rest.extensionBundle.version).toBe('[4.0.0, 5.0.0)');
  const ofTheArticle = ['messageHandlerOptions', 'sessionHandlerOptions', 'batchOptions', 'autoComplete'];
  for (const key of ofTheArticle) expect(keysOf(hostJson())).not.toContain(key);
});

test('concurrency is decided by the settings, not by the load of a processor', () => {
  expect(rest.concurrency).toEqual({ dynamicConcurrencyEnabled: false, snapshotPersistenceEnabled: false });
});

test('telemetry is sampled, failures are not', () => {
  expect(rest.telemetryMode).toBe('ApplicationInsights');
  const { samplingSettings } = rest.logging.applicationInsights;
  expect(samplingSettings.isEnabled).toBe(true);
  expect(samplingSettings.excludedTypes).toBe('Exception');
});
