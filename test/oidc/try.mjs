// A certified OpenID provider on this machine, with two people in it, to try
// Tenure's sign-in by: docs/guides/oidc.md. It asks for no password and forgets
// everything when it stops: it is for nothing else.
//
//   node try.mjs [port [address of Tenure]]
import { provider, secret } from './stand.mjs';

const [port = '5780', address = 'http://127.0.0.1:5757'] = process.argv.slice(2);
const people = Object.fromEntries(['grace', 'alice'].map((name) => [name, { preferred_username: `${name}@example.com` }]));
const { issuer } = await provider(people, [{
  client_id: 'tenure', client_secret: secret, redirect_uris: [`${address}/oidc/default/callback`],
  post_logout_redirect_uris: [`${address}/login`], backchannel_logout_uri: `${address}/oidc/default/backchannel`,
}], { port: Number(port) });
console.log(`
The provider is at ${issuer}. In another terminal, where bin/tenure is:

TENURE_MODE=teams TENURE_LISTEN=${new URL(address).host} TENURE_HOME=.demo/oidc TENURE_ADMINS=grace@example.com \\
TENURE_OIDC_ISSUER=${issuer} TENURE_OIDC_CLIENT_ID=tenure \\
TENURE_OIDC_CLIENT_SECRET=${secret} \\
bin/tenure serve

Then open ${address} and sign in there; to the provider say grace, who administers, or alice. Ctrl-C ends it.
`);
