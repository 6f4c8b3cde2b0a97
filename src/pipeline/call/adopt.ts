// One way to wait for what a guarded function answers, whichever path the call takes: as `await` does.

// oxlint-disable-next-line typescript/unbound-method -- compared, never called
const promiseThen = Promise.prototype.then;

/**
 * The promise to wait for; undefined for a value. A thenable may call back twice, throw, be a function, or
 * have a `then` that throws when it is read: it is adopted once, and what it throws is its rejection.
 */
export function adopted<Result>(answer: Result): Promise<Awaited<Result>> | undefined {
  if ((typeof answer !== "object" && typeof answer !== "function") || answer === null) {
    return undefined;
  }
  try {
    const { then } = answer as { readonly then?: unknown };
    // As it is, unless it is of a subclass or has a `then` of its own: who knows how often that calls back.
    if (then === promiseThen && answer.constructor === Promise) return answer;
    return typeof then === "function" ? once(answer, then) : undefined;
  } catch (error) {
    return Promise.reject(error);
  }
}

function once<Result>(answer: Result, then: Function): Promise<Awaited<Result>> {
  // By what was read: at a second reading a getter may answer another thing, or throw.
  const thenable: PromiseLike<Awaited<Result>> = {
    // oxlint-disable-next-line unicorn/no-thenable -- it stands for one
    then: (...args) => Reflect.apply(then, answer, args) as never,
  };
  return new Promise((resolve) => {
    resolve(thenable);
  });
}
