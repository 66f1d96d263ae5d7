/** In every canary, in letters that no encoding of the product writes by itself. */
export const CANARY = 'kAnArY';

/** One way in which a secret turns up in a text. `text` is given the secret. */
export interface SecretFormSample {
  readonly name: string;
  readonly text: (secret: string) => string;
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const base64url = (text: string): string => Buffer.from(text).toString('base64url');
const hex = (text: string): string => Buffer.from(text).toString('hex');
const json = (value: unknown): string => JSON.stringify(value);

/** Forms of a value that is known: they are found wherever they stand, with nothing around that gives them away. */
export const KNOWN_FORMS: readonly SecretFormSample[] = [
  { name: 'as it is', text: (secret) => `the server said ${secret} and no more` },
  { name: 'alone', text: (secret) => secret },
  { name: 'between letters', text: (secret) => `xx${secret}xx` },
  { name: 'twice in a row', text: (secret) => `${secret}${secret}` },
  { name: 'percent-encoded', text: (secret) => `/path/${encodeURIComponent(secret)}/next` },
  {
    name: 'percent-encoded in lower case',
    text: (secret) => `/p/${encodeURIComponent(secret).replaceAll(/%../g, (code) => code.toLowerCase())}`,
  },
  { name: 'percent-encoded twice', text: (secret) => `?u=${encodeURIComponent(encodeURIComponent(secret))}` },
  { name: 'as a form', text: (secret) => `a=1&${new URLSearchParams([['b', secret]]).toString()}` },
  { name: 'in the address of a link', text: (secret) => encodeURI(`https://host/${secret}`) },
  { name: 'in JSON', text: (secret) => json({ said: secret }) },
  { name: 'as a JSON key', text: (secret) => json({ [secret]: 1 }) },
  { name: 'in JSON with escaped slashes', text: (secret) => json({ said: secret }).replaceAll('/', '\\/') },
  { name: 'in JSON within JSON', text: (secret) => json({ body: json({ said: secret }) }) },
  {
    name: 'in HTML',
    text: (secret) =>
      `<h1>${secret.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')}</h1>`,
  },
  { name: 'in base64', text: (secret) => `data ${base64(secret)} end` },
  { name: 'in base64 behind one byte', text: (secret) => base64(`:${secret}`) },
  { name: 'in base64 behind two bytes', text: (secret) => base64(`u:${secret}:more`) },
  { name: 'in base64url', text: (secret) => base64url(`abc${secret}`) },
  { name: 'in base64, percent-encoded', text: (secret) => encodeURIComponent(base64(secret)) },
  { name: 'in base64 in JSON with escaped slashes', text: (secret) => json(base64(secret)).replaceAll('/', '\\/') },
  { name: 'as basic credentials', text: (secret) => `Basic ${base64(`user:${secret}`)}` },
  { name: 'in hexadecimal', text: (secret) => hex(secret) },
  { name: 'in capital hexadecimal', text: (secret) => `0x${hex(secret).toUpperCase()}` },
  { name: 'cut short', text: (secret) => `token starts with ${secret.slice(0, 20)}...` },
  { name: 'cut short in base64', text: (secret) => `${base64(secret).slice(0, 26)}...` },
  { name: 'on a line of its own', text: (secret) => `a\r\n${secret}\r\nb` },
  { name: 'behind a control character', text: (secret) => `\0${secret}\0` },
  { name: 'in brackets of every kind', text: (secret) => `([{<${secret}>}])` },
  { name: 'in a shell command', text: (secret) => `curl -H 'x: ${secret}' https://host` },
  { name: 'in XML', text: (secret) => `<Message>${secret}</Message>` },
];

/** Forms of a value that nobody knows: what stands around says what it is. */
export const NAMED_FORMS: readonly SecretFormSample[] = [
  { name: 'access_token of a query', text: (secret) => `https://h/p?limit=1&access_token=${secret}&after=m` },
  {
    name: 'access_token, percent-encoded',
    text: (secret) => `u=https%3A%2F%2Fh%2Fp%3Faccess_token%3D${secret}%26x%3D1`,
  },
  { name: 'accessToken in JSON', text: (secret) => json({ userId: 'u1', accessToken: secret }) },
  { name: 'access_token in JSON within JSON', text: (secret) => json({ body: json({ access_token: secret }) }) },
  { name: 'bearer header', text: (secret) => `Authorization: Bearer ${secret}` },
  { name: 'bearer header in JSON', text: (secret) => json({ headers: { authorization: `Bearer ${secret}` } }) },
  { name: 'bearer in a sentence', text: (secret) => `the bearer ${secret} is not valid` },
  { name: 'basic header', text: (secret) => `proxy-authorization: Basic ${base64(secret)}` },
  {
    name: 'digest header',
    text: (secret) => `authorization: Digest username="u", response="${secret}"`.replaceAll('"', ''),
  },
  { name: 'own scheme', text: (secret) => `authorization: ${secret}` },
  { name: 'cookie header', text: (secret) => `cookie: lang=en; auth_id=${secret}; theme=dark` },
  { name: 'set-cookie header', text: (secret) => `set-cookie: sess=${secret}; Path=/; HttpOnly` },
  { name: 'set-cookie in JSON', text: (secret) => json({ 'set-cookie': [`sess=${secret}; Path=/`] }) },
  { name: 'x-bc header', text: (secret) => `x-bc: ${secret}` },
  { name: 'x-bc as the article writes it', text: (secret) => `x-bc=${secret}` },
  { name: 'sign of a query', text: (secret) => `/api2/v2/users/me?sign=${secret}` },
  { name: 'sign header', text: (secret) => `sign: 1234:${secret}:5f` },
  {
    name: 'JWT',
    text: (secret) =>
      `expired: ${base64url('{"alg":"HS256"}')}.${base64url(`{"sub":"${secret}"}`)}.${base64url(secret)} (x)`,
  },
  {
    name: 'JWT with a header in pretty JSON',
    text: (secret) => `${base64url('{\n "alg":"HS256"}')}.${base64url(secret)}.${base64url(secret)}`,
  },
  {
    name: 'JWT that is encrypted',
    text: (secret) => `${base64url('{"alg":"dir","enc":"A256GCM"}')}..${base64url(secret)}.${base64url(secret)}.ab`,
  },
  {
    name: 'Graph token',
    text: (secret) => `Error validating EAAB${secret.replaceAll(/[^A-Za-z0-9]/g, '')}${'x7Kq'.repeat(6)}`,
  },
  {
    name: 'Graph app token',
    text: (secret) => `1234567890|${secret.replaceAll(/[^A-Za-z0-9]/g, '')}${'x7Kq'.repeat(4)}`,
  },
  {
    name: 'Service Bus connection string',
    text: (secret) => `Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=${secret}`,
  },
  {
    name: 'storage connection string',
    text: (secret) =>
      `DefaultEndpointsProtocol=https;AccountName=a;AccountKey=${secret};EndpointSuffix=core.windows.net`,
  },
  {
    name: 'SAS address',
    text: (secret) => `https://a.blob.core.windows.net/lake?sv=2024-11-04&sp=r&sig=${secret}&se=2027-01-01`,
  },
  {
    name: 'SAS token of the bus',
    text: (secret) => `SharedAccessSignature sr=sb%3A%2F%2Fns&sig=${secret}&se=1764300000&skn=Root`,
  },
  { name: 'proxy address', text: (secret) => `http://customer:${secret}@proxy.example:8080/` },
  { name: 'user of a proxy address', text: (secret) => `http://${secret}@proxy.example:8080/` },
  { name: 'proxy address, percent-encoded', text: (secret) => `p=http%3A%2F%2Fcustomer%3A${secret}%40proxy.example` },
  {
    name: 'address in JSON with escaped slashes',
    text: (secret) => `{"proxy":"http:\\/\\/u:${secret}@proxy.example"}`,
  },
  { name: 'redis address', text: (secret) => `connect rediss://:${secret}@cache.example:6380/0 failed` },
  { name: 'redis AUTH', text: (secret) => `redis command AUTH default ${secret}` },
  { name: 'SASL PLAIN', text: (secret) => `\0user\0${secret}` },
  { name: 'password in JSON', text: (secret) => json({ user: 'u', password: secret, port: 1 }) },
  { name: 'password in an inspected object', text: (secret) => `{ host: 'h', password: '${secret}', port: 1 }` },
  { name: 'password as a variable', text: (secret) => `PGPASSWORD=${secret} psql` },
  {
    name: 'client_secret of a form',
    text: (secret) => `grant_type=client_credentials&client_secret=${secret}&scope=s`,
  },
  { name: 'API key header', text: (secret) => `X-API-Key: ${secret}` },
  { name: 'function key', text: (secret) => `https://adit-dev.azurewebsites.net/api/health?code=${secret}==` },
  { name: 'function key header', text: (secret) => `x-functions-key: ${secret}` },
  {
    name: 'private key',
    text: (secret) => `-----BEGIN RSA PRIVATE KEY-----\nMIIE${secret}\n-----END RSA PRIVATE KEY-----`,
  },
  { name: 'private key without an end', text: (secret) => `-----BEGIN PRIVATE KEY-----\nMIIE${secret}` },
  { name: 'sealing keys variable', text: (secret) => `ADIT_SEALING_KEYS=k1:${secret}` },
  { name: 'subscription key', text: (secret) => `Ocp-Apim-Subscription-Key: ${secret}` },
];

/** What must pass unchanged: no secret, although it looks like one to a hasty pattern. */
export const READABLE: readonly string[] = [
  'u1 chats: token: status 401, code 190: OAuthException: Error validating access token',
  'user-123 fans: permission: status 403, code 10: (#10) This endpoint requires a permission',
  'graph.example.com/users/u1/chats: connect ECONNREFUSED 127.0.0.1:8080 (ECONNREFUSED)',
  'graph.example.com/users/u1/chats through the proxy 127.0.0.1:3128: the proxy 127.0.0.1:3128 refused the tunnel (status 407)',
  '127.0.0.1:1/users/dead/chats: the proxy 127.0.0.1:1 cannot be used (ECONNREFUSED)',
  'the same marker came back, 5 repeats in a row on page 12',
  '3 markers came back in a circle, 5 repeats in a row on page 40',
  'no progress after 5 revivals',
  'the user is not active',
  'next without a marker (after is undefined)',
  'marker longer than 4096 characters',
  'id must be a text of 1..4096 characters',
  'envelope 018f3c1e-7d2a-7c31-9d62-0a1b2c3d4e5f was ingested with another body',
  'message 018f3c1e-7d2a-7c31-9d62-0a1b2c3d4e5f was abandoned by its handler',
  'sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
  'the version 5d41402abc4b2a76b9719d911017c592 of item 17841400008460056_1234 is in the lake',
  'point-time-data-ingestion-queue/$DeadLetterQueue holds 3 messages',
  'lake/miner=wall-posts/date=2026-11-28/018f3c1e.ndjson.gz',
  'Redis is down: WRONGPASS invalid username-password pair or user is disabled.',
  'ERR AUTH <password> called without any password configured for the default user.',
  'NOAUTH Authentication required.',
  'the secret https://adit-dev.vault.azure.net/secrets/sealing-keys is not open to this login (403)',
  'the key file /state/sealing-keys cannot be read (EACCES). Next: make it readable for you alone',
  'its key k3-a1b2c3 is not here. Next: give the keys back from a copy',
  '500 users were sealed with the key k2-0f9e8d; the table has 500.',
  'there is no Azure login, or it has expired. Next: az login',
  'a bearer token is needed; basic authentication is not supported',
  'fetched 10 = new 4 + seen 6 + rejected 0; sent 4, settled 4, lake 4',
  'broker   127.0.0.1:5672 (Service Bus protocol, process 4711)',
  'Endpoint=sb://127.0.0.1:5672;UseDevelopmentEmulator=true',
  'UseDevelopmentStorage=true',
  'Next: npm run adit -- users import FILE --stack dev',
  '--set userCallsPerSecond=1 --set sealedMaxBytes=200000',
  'Gave up after --max-wait; 2 runs wait:',
  'https://portal.azure.com/#@/dashboard/arm/subscriptions/00000000-0000-0000-0000-000000000000',
  'a mail to ops@example.com, and https://example.com/@user/posts',
  'design: the signature of the page checkpoint is its marker, signed off: yes',
  '{"miner":"chats","userId":"u1","tokenHash":"0a1b2c3d","keyId":"k1-abc","state":"paused"}',
  'the session of u1 was lost; a new session begins',
  'cookies are not used, authorization is by header, a password is not needed',
  '"ADIT_SEALING_KEYS":"@Microsoft.KeyVault(VaultName=adit-dev;SecretName=sealing-keys)"',
  '{"type":"azure-native:authorization:RoleAssignment","password":"[secret]"}',
  'sha512-9a0iK0p1Y8o+X1n5l3W1zQ== is the integrity of a package',
];
