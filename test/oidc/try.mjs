// A certified OpenID provider on this machine, with two people in it, and a
// simulated provider of models beside it, to try Tenure by: docs/guides/oidc.md. It
// asks for no password and forgets everything when it stops: it is for nothing else.
//
//   node try.mjs [port [address of Tenure]]
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { provider, secret } from './stand.mjs';

const [port = '5780', address = 'http://127.0.0.1:5757'] = process.argv.slice(2);
const people = Object.fromEntries(['grace', 'alice'].map((name) => [name, { preferred_username: `${name}@example.com` }]));
const { issuer } = await provider(people, [{
  client_id: 'tenure', client_secret: secret, redirect_uris: [`${address}/oidc/default/callback`],
  post_logout_redirect_uris: [`${address}/login`], backchannel_logout_uri: `${address}/oidc/default/backchannel`,
}], { port: Number(port) });

// The models: the program that the demo's come from. It ends with its standard input.
const key = `sim-${secret.slice(0, 24)}`;
const simulator = spawn('go', ['run', '-trimpath', './internal/simulator/simulate', '-key', key, '-chunk', '100ms'], {
  cwd: join(import.meta.dirname, '../..'), env: { ...process.env, CGO_ENABLED: '0' }, stdio: ['pipe', 'pipe', 'inherit'],
});
simulator.on('error', (error) => { throw error; });
simulator.on('exit', (code) => { process.exit(code ?? 1); });
const { provider: models } = JSON.parse(await new Promise((resolve) => { createInterface({ input: simulator.stdout }).once('line', resolve); }));

console.log(`
The provider is at ${issuer}, and one of simulated models at ${models}.
In another terminal, where bin/tenure is:

TENURE_MODE=teams TENURE_LISTEN=${new URL(address).host} TENURE_HOME=.demo/oidc TENURE_ADMINS=grace@example.com \\
TENURE_OIDC_ISSUER=${issuer} TENURE_OIDC_CLIENT_ID=tenure \\
TENURE_OIDC_CLIENT_SECRET=${secret} \\
OPENAI_API_KEY=${key} OPENAI_BASE_URL=${models}/v1 \\
ANTHROPIC_API_KEY=${key} ANTHROPIC_BASE_URL=${models} \\
bin/tenure serve

Then open ${address} and sign in there; to the provider say grace, who administers, or alice. Ctrl-C ends it.
`);
