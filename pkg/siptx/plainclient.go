package siptx

// stepPlainClient is the client transaction of all methods but INVITE: RFC 3261 §17.1.2, figure 6.
func stepPlainClient(s state, e event, reliable bool) (state, action) {
	switch s {
	case stateTrying, stateProceeding:
		return stepPlainWaiting(s, e, reliable)
	case stateCompleted:
		if e == evExpire { // K
			return stateTerminated, 0
		}
		return s, 0
	default:
		return s, 0
	}
}

func stepPlainWaiting(s state, e event, reliable bool) (state, action) {
	switch e {
	case evRepeat: // E
		return s, doSend | doArmRepeat
	case evExpire: // F
		return stateTerminated, doStopRepeat | doTimeout
	case evGiveUp:
		if s == stateProceeding {
			return s, 0
		}
		return stateTerminated, doStopRepeat | doTimeout
	case evTrying, evProvisional:
		return stateProceeding, doDeliver
	case evSuccess, evFailure:
		if reliable { // timer K is zero
			return stateTerminated, doStopRepeat | doDeliver
		}
		return stateCompleted, doStopRepeat | doArmExpire | doDeliver
	case evError:
		return stateTerminated, doStopRepeat | doError
	default:
		return s, 0
	}
}
