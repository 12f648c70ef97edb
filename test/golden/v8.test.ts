/** A volume of format 8: applied, frozen, with branches, and with what only its log has. */
import t from 'tap';
import { opensAsKilled } from './killed.js';

opensAsKilled(t, 'v8', 'try');
