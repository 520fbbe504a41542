import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CarriedBy, type Placed, type PlaceLimits, Places, type SharedBy } from './places.ts';

interface SharedConnection extends SharedBy {
  readonly name: string;
}

function placesFor(limits: Partial<PlaceLimits> = {}): Places<CarriedBy, SharedConnection> {
  return new Places(
    { keepConnections: 4, multiplexedRequestsMax: 1, ...limits },
    { requestsPerConnectionMax: 10, connectionAgeMsMax: 60_000 },
  );
}

const get: Placed = { mayRepeat: true, isAlone: false };
const post: Placed = { ...get, mayRepeat: false };
const used: CarriedBy = { requests: 1, madeAt: 0 };
const shared = (facts: Partial<SharedConnection> = {}): SharedConnection => ({
  name: 'shared',
  requests: 1,
  madeAt: 0,
  active: 0,
  takesMore: true,
  ...facts,
});

/** What a request is told: `shared` stands for that connection. */
function told(places: Places<CarriedBy, SharedConnection>, request: Placed): string {
  const place = places.choose(request);
  return typeof place === 'string' ? place : place.name;
}

test('an idle connection is used again; by what may not run twice only when the application is known to keep it', () => {
  const places = placesFor();
  assert.equal(told(places, get), 'connect');
  places.idle.push(used);
  assert.equal(told(places, get), 'kept');
  assert.equal(told(places, post), 'connect');
  places.isKnownToKeep = true;
  assert.equal(told(places, post), 'kept');
});

test('capacity and connections bound the requests; what is found out later holds for the next ones', () => {
  const places = placesFor({ capacity: 2 });
  places.busy = 1;
  assert.equal(places.isFree, true);
  places.busy = 2;
  assert.equal(places.isFree, false);
  places.limit({ keepConnections: 4, multiplexedRequestsMax: 1 });
  assert.equal(places.isFree, true);
  places.limit({ keepConnections: 4, multiplexedRequestsMax: 1, connectionsMax: 2 });
  assert.equal(places.isFree, false);
});

test('requests share a connection once the application is known to keep it, one each before', () => {
  const places = placesFor({ multiplexedRequestsMax: 3 });
  assert.equal(told(places, get), 'share');
  places.shared.push(shared({ active: 1 }));
  assert.equal(told(places, get), 'share', 'one each');
  places.isKnownToKeep = true;
  assert.equal(told(places, post), 'shared');
  places.leavesStdoutOpen = true;
  assert.equal(told(places, get), 'share', 'one each again');
});

test('who may not run twice begins on a fresh shared connection', () => {
  const places = placesFor({ multiplexedRequestsMax: 3 });
  places.shared.push(shared());
  assert.equal(told(places, post), 'share');
  assert.equal(told(places, get), 'shared');
  places.shared.push(shared({ name: 'fresh', requests: 0 }));
  assert.equal(told(places, post), 'fresh');
});

test('a shared connection that is full, worn, or has the id in use takes nobody', () => {
  const places = placesFor({ multiplexedRequestsMax: 3 });
  places.isKnownToKeep = true;
  for (const facts of [{ active: 3 }, { requests: 10 }, { takesMore: false }]) {
    places.shared.splice(0, 1, shared(facts));
    assert.equal(told(places, get), 'share');
  }
  places.shared.splice(0, 1, shared());
  places.time = 60_000;
  assert.equal(told(places, get), 'share', 'too old');
});

test('who is to be alone gets a connection alone, and shares one only where no more may be opened', () => {
  const places = placesFor({ multiplexedRequestsMax: 3, connectionsMax: 1 });
  const alone = { ...get, isAlone: true };
  assert.equal(told(places, alone), 'connect');
  places.isKnownToKeep = true;
  places.shared.push(shared({ active: 1 }));
  assert.equal(told(places, alone), 'shared');
  assert.equal(places.isFree, true);
  places.shared.splice(0, 1, shared({ active: 3 }));
  assert.equal(places.isFree, false, 'all is taken');
});

test('an application that refuses to share: each has a connection', () => {
  const places = placesFor({ multiplexedRequestsMax: 3 });
  places.stopMultiplexing();
  places.idle.push(used);
  assert.equal(told(places, get), 'kept');
  assert.equal(places.chooseFresh(get), 'connect', 'a kept one has failed it');
});

test('what is kept: while connections are wanted, not worn, and no other one waits for a worker', () => {
  const places = placesFor();
  assert.equal(places.mayKeep(used), true);
  assert.equal(places.mayKeep({ ...used, requests: 10 }), false);
  places.isStarving = true;
  assert.equal(places.mayKeep(used), false);
  places.isStarving = false;
  assert.equal(places.keepConn, true);
  places.mistakesIds = true;
  assert.equal(places.mayKeep(used), false, 'what it says may be meant for another');
  assert.equal(places.keepConn, false);
  assert.equal(placesFor({ keepConnections: 0 }).mayKeep(used), false);
});

test('of idle connections the oldest go; one that is gone counts no more', () => {
  const places = placesFor();
  const all = [1, 2, 3].map((requests) => ({ requests, madeAt: 0 }));
  for (const connection of all) {
    places.exclusive.add(connection);
    places.idle.push(connection);
  }
  assert.deepEqual(places.idleBeyond(2), [all[0]]);
  assert.deepEqual(places.idleBeyond(5), []);
  places.gone(all[1]!);
  assert.deepEqual([places.idle, places.connections], [[all[0], all[2]], 2]);
  const several = shared();
  places.shared.push(several);
  places.gone(several);
  assert.equal(places.connections, 2);
});
