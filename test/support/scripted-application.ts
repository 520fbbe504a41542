/** A FastCGI application that plays every fault; it is part of `fastway/testing`, with its scenarios. */
export * from '../../src/testing/scripted-application.ts';
