/** Records from hex for tests; the builder is part of `fastway/testing`. */
export * from '../../src/testing/record-builder.ts';
