// The entry of the pack. Pulumi loads it with require(), calls what it exports and waits for it; Node strips the types.
const { enableCompileCache, flushCompileCache } = require('node:module');

// Most of the start is reading JavaScript that never changes. Pulumi ends the pack with a signal, so the cache is written now.
enableCompileCache();
module.exports = async () => {
  await import('./pack.ts');
  flushCompileCache();
};
