// Speaks with a broker through the bridge, by the npm package `mqtt`: all levels of service, both versions of MQTT, and a
// payload of 1 MiB. Ends with status 0 if each message came once and unchanged.
//
//     mqtt_client.cjs URL

const assert = require('node:assert/strict');
const mqtt = require('mqtt');

async function main() {
  for (const protocolVersion of [4, 5]) {
    const client = await mqtt.connectAsync(process.argv[2], { protocolVersion, reconnectPeriod: 0 });
    const received = [];
    client.on('message', (topic, payload, { qos }) => received.push([topic, payload.toString(), qos]));
    await client.subscribeAsync('npm/#', { qos: 2 });
    const sent = [];
    for (const qos of [0, 1, 2]) {
      for (const payload of ['', 'grüße', 'x'.repeat(1 << 20)]) {
        sent.push([`npm/${qos}/${payload.length}`, payload, qos]);
        await client.publishAsync(...sent.at(-1).slice(0, 2), { qos });
      }
    }
    while (received.length < sent.length) await new Promise((resolve) => setTimeout(resolve, 20));
    const sorted = (list) => list.map((item) => JSON.stringify(item)).sort();
    assert.deepEqual(sorted(received), sorted(sent));
    await client.endAsync();
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
