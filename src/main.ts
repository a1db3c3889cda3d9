#!/usr/bin/env node
/** The process edge: words in, exit code out. */
import { run } from './cli/index.js';

process.exitCode = await run(process.argv, process.env);
