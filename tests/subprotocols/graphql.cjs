// Runs graphql_server of docs/examples/subprotocols, and tests it with the client of `graphql-ws`, and with messages that this
// client does not send. Prints a line for each check, then `N passed, N failed`.
//
//     graphql.cjs PROGRAM

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { createInterface } = require('node:readline');
const { setTimeout: sleep } = require('node:timers/promises');
const { createClient } = require('graphql-ws');
const WebSocket = require('ws');

const subprotocol = 'graphql-transport-ws';
const greeting = 'query { greeting }';
const countdown = 'subscription ($from: Int!) { countdown(from: $from) }';
// The longest time for one check, in milliseconds.
const patience = 15_000;
let url;

async function withClient(options, run) {
  const client = createClient({ url, webSocketImpl: WebSocket, lazy: false, retryAttempts: 0, onNonLazyError() {}, ...options });
  try {
    await run(client);
  } finally {
    await client.dispose();
  }
}

async function resultsOf(client, query, variables) {
  const results = [];
  for await (const result of client.iterate({ query, variables })) results.push(result);
  return results;
}

const down = (from) => Array.from({ length: from + 1 }, (_, i) => ({ data: { countdown: from - i } }));

// Sends texts or buffers without a client of the subprotocol. Returns all answers, and the code and reason of the Close.
function exchange(messages, protocols = [subprotocol]) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, protocols);
    const answers = [];
    socket.on('open', () => messages.forEach((m) => socket.send(m instanceof Buffer ? m : JSON.stringify(m))));
    socket.on('message', (data) => answers.push(JSON.parse(data)));
    socket.on('close', (code, reason) => resolve({ answers, code, reason: String(reason) }));
    socket.on('error', reject);
  });
}

const init = { type: 'connection_init' };
const ack = { type: 'connection_ack' };
const subscribe = (id, query = countdown) => ({ type: 'subscribe', id, payload: { query, variables: { from: 1e6 } } });

const checks = {
  async a_query_has_one_result() {
    await withClient({}, async (client) => {
      assert.deepEqual(await resultsOf(client, greeting), [{ data: { greeting: 'Hello' } }]);
    });
  },

  async a_subscription_has_many_results_in_their_order() {
    await withClient({}, async (client) => {
      assert.deepEqual(await resultsOf(client, countdown, { from: 100 }), down(100));
    });
  },

  async operations_run_side_by_side() {
    await withClient({}, async (client) => {
      const all = await Promise.all(Array.from({ length: 50 }, (_, i) => resultsOf(client, countdown, { from: i })));
      all.forEach((results, i) => assert.deepEqual(results, down(i)));
    });
  },

  async a_cancelled_operation_sends_no_more_and_others_go_on() {
    const received = [];
    const on = { message: (message) => received.push(message) };
    await withClient({ on }, async (client) => {
      const other = resultsOf(client, countdown, { from: 100 });
      let seen = 0;
      for await (const _ of client.iterate({ query: countdown, variables: { from: 1e6 } })) if (++seen === 5) break;
      // What crosses the `complete` may still arrive.
      await sleep(100);
      const before = received.length;
      assert.deepEqual(await other, down(100));
      const ids = new Set(received.slice(before).map((message) => message.id));
      assert.equal(ids.size, 1, 'results of the other operation only');
    });
  },

  async errors_end_their_operation_only() {
    await withClient({}, async (client) => {
      const other = resultsOf(client, countdown, { from: 20 });
      await assert.rejects(resultsOf(client, 'query { nothing }'), (errors) => errors[0].message === 'unknown document');
      await assert.rejects(resultsOf(client, countdown, { from: -1 }), (errors) => /positive/.test(errors[0].message));
      assert.deepEqual(await other, down(20));
    });
  },

  async the_client_s_pings_are_answered() {
    let pongs = 0;
    const on = { pong: (received, payload) => (pongs += received ? 1 : 0) };
    await withClient({ keepAlive: 50, on }, async () => {
      await sleep(500);
      assert.ok(pongs >= 2, `${pongs} pongs`);
    });
    const payload = { id: 7 };
    const { answers } = await exchange([init, { type: 'ping', payload }, { type: 'pong' }, { type: 'nothing' }]);
    assert.deepEqual(answers, [ack, { type: 'pong', payload }]);
  },

  async an_acknowledged_client_is_not_closed_after_the_time_for_init() {
    let closed = false;
    await withClient({ on: { closed: () => (closed = true) } }, async (client) => {
      await resultsOf(client, greeting);
      await sleep(3500);
      assert.ok(!closed, 'the client would connect again');
    });
  },

  async too_many_operations_are_refused() {
    const many = Array.from({ length: 101 }, (_, i) => subscribe(String(i)));
    const { answers } = await exchange([init, ...many, { type: 'nothing' }]);
    const errors = answers.filter(({ type }) => type === 'error');
    assert.deepEqual(errors, [{ type: 'error', id: '100', payload: [{ message: 'too many operations' }] }]);
  },

  async an_identifier_can_be_used_again_after_its_operation() {
    const { answers, code } = await exchange([
      init, subscribe('a'), { type: 'complete', id: 'a' }, { type: 'complete', id: 'never' }, subscribe('a'), subscribe('a'),
    ]);
    assert.deepEqual(answers.filter(({ type }) => type !== 'next'), [ack]);
    assert.equal(code, 4409, 'of the third');
  },

  async each_fault_has_its_close_code() {
    for (const [messages, code] of [
      [[init, { type: 'nothing' }], 4400],
      [[Buffer.from('{')], 4400],
      [[{ type: 'subscribe', id: 1 }], 4400],
      [[init, subscribe('a'), { type: 'subscribe', id: 'b' }], 4400],
      [[subscribe('a')], 4401],
      [[], 4408],
      [[{ type: 'ping' }], 4408],
      [[init, subscribe('a'), subscribe('a')], 4409],
      [[init, init], 4429],
    ]) {
      assert.equal((await exchange(messages)).code, code, JSON.stringify(messages));
    }
    assert.equal((await exchange([], ['graphql-ws', subprotocol])).code, 4408, 'the second offer is chosen');
    assert.equal((await exchange([], [])).code, 4406);
  },

  async the_client_sees_why_it_was_closed() {
    let closed;
    await withClient({ on: { closed: (event) => (closed = event) } }, async (client) => {
      await resultsOf(client, greeting);
    });
    await sleep(50);
    assert.equal(closed.code, 1000);
    assert.ok(closed.wasClean);
  },
};

async function main() {
  const server = spawn(process.argv[2], ['127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'ignore'] });
  let passed = 0;
  let failed = 0;
  try {
    const [line] = await require('node:events').once(createInterface(server.stdout), 'line');
    url = line.split(' ').pop();
    for (const [name, check] of Object.entries(checks)) {
      const late = new AbortController();
      try {
        const timeout = sleep(patience, null, { signal: late.signal }).then(() => assert.fail('not in time'), () => {});
        await Promise.race([check(), timeout]);
        passed += 1;
        console.log(`ok      ${name}`);
      } catch (error) {
        failed += 1;
        console.log(`FAILED  ${name}: ${error?.stack ?? JSON.stringify(error)}`);
      } finally {
        late.abort();
      }
    }
  } finally {
    server.kill('SIGKILL');
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}

main();
