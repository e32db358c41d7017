import { CodekeepError } from '../base/errors.js';

/** Why no worker may be started at the moment. */
export interface Hold {
  reason: 'REPAIR_IN_PROGRESS' | 'shutdown';
}

export function heldBack({ reason }: Hold): CodekeepError {
  if (reason === 'shutdown') {
    return new CodekeepError('CANCELLED', 'The daemon is stopping.', 'Start it again, then call again.');
  }
  return repairInProgress();
}

export function repairInProgress(): CodekeepError {
  return new CodekeepError(
    'REPAIR_IN_PROGRESS',
    'A repair is running.',
    'Wait until health says that it is over, then call again.',
  );
}
