// One way to wait for what a guarded function answers, whichever path the call takes: as `await` does.

const promiseThen = Promise.prototype.then;

/**
 * The promise to wait for; undefined for a value. A thenable may call back twice, throw, be a function, or
 * have a `then` that throws when it is read: it is adopted once, and what it throws is its rejection.
 */
export function adopted<Result>(
  answer: Result | PromiseLike<Result>,
): Promise<Awaited<Result>> | undefined {
  if ((typeof answer !== "object" && typeof answer !== "function") || answer === null) {
    return undefined;
  }
  try {
    if (answer instanceof Promise) {
      // Ours to wait for as it is. A subclass's `then` makes more of its class, which not every one bears.
      if (answer.constructor === Promise && answer.then === promiseThen) {
        return answer as Promise<Awaited<Result>>;
      }
    } else if (typeof (answer as { readonly then?: unknown }).then !== "function") {
      return undefined;
    }
    return Promise.resolve(answer) as Promise<Awaited<Result>>;
  } catch (error) {
    // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- a stranger's, as it is
    return Promise.reject(error);
  }
}
