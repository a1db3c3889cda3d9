#!/usr/bin/env node
/** The process edge: words in, exit code out. */
import { run } from './cli/index.js';

// A connection that is dead without having been closed would keep the process: what is to be waited for has been.
process.exit(await run(process.argv, process.env));
