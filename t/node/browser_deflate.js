// WebSockets of a real browser, for t/websocket_deflate.t.
//
//   node browser_deflate.js URL CHROMIUM PATH...
//
// Talks to the echo server at each path, compressed as the browser likes it,
// and says one line {"event":"done","rows":[...]} with what came out of each.
'use strict';
const { chromium } = require('playwright-core');

const [url, executablePath, ...paths] = process.argv.slice(2);
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic',
    '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'];

// In the page.
function converse(at) {
    return new Promise((resolve) => {
        const ws = new WebSocket(at);
        const sent = [];
        let got = 0;
        let wrong = 0;
        ws.binaryType = 'arraybuffer';
        ws.onerror = () => resolve({ error: 'failed' });
        ws.onclose = (e) => resolve({ error: `closed: ${e.code} ${e.reason}` });
        ws.onopen = () => {
            for (let i = 0; i < 500; i++) {
                sent.push(`{"seq":${i},"text":"${'hello grüße € '
                    .repeat(i % 40)}"}`);
            }
            sent.push('', 'x'.repeat(100000), new Uint8Array(50000),
                crypto.getRandomValues(new Uint8Array(20000)), 'last');
            sent.forEach((m) => ws.send(m));
        };
        ws.onmessage = (e) => {
            const want = sent[got++];
            wrong += typeof want === 'string' ? e.data !== want
                : String(new Uint8Array(e.data)) !== String(want);
            if (got === sent.length) {
                ws.onclose = null;
                ws.close();
                resolve({ wrong, extensions: ws.extensions });
            }
        };
    });
}

async function main() {
    const browser = await chromium.launch({ executablePath, args: FLAGS });
    const page = await browser.newPage();
    const rows = [];
    // Any page of the same host may connect.
    await page.goto(url + '/metrics');
    for (const path of paths) {
        const row = await page.evaluate(converse,
            url.replace('http', 'ws') + path);
        rows.push({ path, ...row });
    }
    await browser.close();
    process.stdout.write(JSON.stringify({ event: 'done', rows }) + '\n',
        () => process.exit(0));
}

main().catch((e) => {
    process.stdout.write(JSON.stringify({ event: 'failed',
        error: String(e) }) + '\n', () => process.exit(1));
});
