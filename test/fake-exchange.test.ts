/** The front that tests of handlers use keeps the contract of the real ones. */
import { testReply } from '../src/http/reply.contract.ts';
import { FakeExchange } from './support/fake-exchange.ts';

testReply('fake', async (method) => {
  const exchange = new FakeExchange({ method });
  exchange.window = 100_000;
  return {
    reply: exchange,
    leave: () => exchange.leave(),
    async received() {
      exchange.take(Number.MAX_SAFE_INTEGER);
      await exchange.whenEnded();
      return {
        status: exchange.status,
        field: (name) => exchange.field(name),
        body: exchange.body.toString('latin1'),
        isWhole: !exchange.wasCut,
      };
    },
  };
});
