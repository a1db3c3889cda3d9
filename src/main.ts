#!/usr/bin/env node
/** The entry point of the process: arguments in, exit code out. */
import { run } from './cli/index.js';

// A dead connection that was not closed would keep the process alive. Everything that must finish has finished.
process.exit(await run(process.argv, process.env));
