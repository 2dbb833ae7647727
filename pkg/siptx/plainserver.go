package siptx

// stepPlainServer is the server transaction of all methods but INVITE: RFC 3261 §17.2.2, figure 8. A
// request that the user never answers is forgotten when its client has given up, without a 408 (RFC 4320).
func stepPlainServer(s state, e event, reliable bool) (state, action) {
	switch s {
	case stateTrying, stateProceeding:
		return stepPlainUnanswered(s, e, reliable)
	case stateCompleted:
		switch e {
		case evRequest:
			return s, doSend
		case evExpire: // J
			return stateTerminated, 0
		default:
			return s, 0
		}
	default:
		return s, 0
	}
}

func stepPlainUnanswered(s state, e event, reliable bool) (state, action) {
	switch e {
	case evRequest:
		if s == stateProceeding {
			return s, doSend
		}
		return s, 0
	case evTrying, evProvisional:
		return stateProceeding, doSend
	case evSuccess, evFailure:
		if reliable { // timer J is zero
			return stateTerminated, doSend
		}
		return stateCompleted, doArmExpire | doSend
	case evForget:
		return stateTerminated, doSend
	case evExpire:
		return stateTerminated, 0
	default:
		return s, 0
	}
}
