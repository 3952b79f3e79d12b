// People who use the page: a browser without a window, a page for each.
//
//   node page.js URL CHROMIUM
//
// Reads commands, one a line, and answers each with one JSON line:
//
//   open NAME [REST]     opens URL (with REST behind it) and enters as NAME
//   close NAME
//   say NAME TEXT        types TEXT and sends it; done when it is acknowledged
//   see NAME TEXT        waits for a message TEXT; "from", and how "many"
//   notes NAME TEXT      waits for a line of the page's own that has TEXT
//   state NAME STATE     waits for up, waiting ...
//   eval NAME SCRIPT     the "value" of a script in the page
//   shot NAME FILE       a picture
//   problems             what consoles, pages and policies complained about
//
// A command that fails is answered with {"event":"failed","why":...}.
'use strict';
const readline = require('readline');
const { chromium } = require('playwright-core');

const [url, executablePath] = process.argv.slice(2);
const TIMEOUT = 15000 * (Number(process.env.TEST_TIME_FACTOR) || 1);
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic',
    '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'];

const people = new Map();
const problems = [];
let browser;

// Everything that a person would not want to find in the console.
async function watch(page, name) {
    const add = (what) => problems.push(`${name}: ${what}`);
    page.on('console', (m) => {
        if (m.type() === 'error' || m.type() === 'warning') {
            add(`${m.type()}: ${m.text()}`);
        }
    });
    page.on('pageerror', (e) => add(e.stack));
    page.on('requestfailed', (r) => add(`failed: ${r.url()}`));
    page.on('request', (r) => {
        if (!r.url().startsWith(url) && !r.url().startsWith('data:')) {
            add(`asks elsewhere: ${r.url()}`);
        }
    });
    page.on('response', (r) => {
        if (r.status() >= 400) {
            add(`${r.status()}: ${r.url()}`);
        }
    });
    await page.exposeFunction('tellViolation', add);
    await page.addInitScript(() => {
        document.addEventListener('securitypolicyviolation', (e) => {
            window.tellViolation(`${e.violatedDirective}: ${e.blockedURI}`);
        });
    });
}

// The texts of the messages in sight, with their authors.
function messages() {
    let from = '';
    return [...document.querySelectorAll('.log:not([hidden]) .message')]
        .map((li) => {
            from = li.querySelector('.from').textContent;
            return { from, text: li.querySelector('.text').textContent,
                pending: li.classList.contains('pending') };
        });
}

const commands = {
    async open(name, rest) {
        const context = await browser.newContext({
            viewport: { width: 1280, height: 800 }, locale: 'en-GB' });
        const page = await context.newPage();
        page.setDefaultTimeout(TIMEOUT);
        await watch(page, name);
        people.set(name, page);
        await page.goto(url + rest);
        await page.fill('#enter-nick', name);
        await page.click('#come');
        await page.waitForSelector('#chat:not([hidden])');
        return { topic: await page.textContent('#topic') };
    },

    async close(name) {
        await people.get(name).context().close();
        people.delete(name);
    },

    async say(name, text) {
        const page = people.get(name);
        await page.fill('#text', text);
        await page.press('#text', 'Enter');
        await page.waitForFunction(
            () => !document.querySelector('.log:not([hidden]) .pending'));
    },

    async see(name, text) {
        const page = people.get(name);
        await page.getByText(text, { exact: true }).first().waitFor();
        const all = (await page.evaluate(messages))
            .filter((m) => m.text === text);
        return { from: all[0].from, many: all.length };
    },

    async notes(name, text) {
        await people.get(name).locator('.log:not([hidden]) li:not(.message)',
            { hasText: text }).first().waitFor();
    },

    async state(name, state) {
        await people.get(name).locator(`body[data-state=${state}]`).waitFor();
    },

    async eval(name, script) {
        return { value: await people.get(name).evaluate(script) };
    },

    async shot(name, path) {
        await people.get(name).screenshot({ path });
    },

    async problems() {
        return { list: problems };
    },
};

function tell(event, more) {
    process.stdout.write(`${JSON.stringify({ event, ...more })}\n`);
}

async function main() {
    browser = await chromium.launch({ executablePath, args: FLAGS });
    tell('started', { version: browser.version() });
    for await (const line of readline.createInterface(process.stdin)) {
        const [, verb, name, rest] = line.match(/^(\S+) ?(\S*) ?(.*)$/);
        try {
            tell(verb, await commands[verb](name, rest));
        } catch (e) {
            tell('failed', { why: `${line}: ${e.message}` });
        }
    }
    await browser.close();
}

main().catch((e) => {
    tell('failed', { why: e.message });
    process.exitCode = 1;
});
