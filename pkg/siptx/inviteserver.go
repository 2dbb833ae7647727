package siptx

// stepInviteServer is the INVITE server transaction: RFC 3261 §17.2.1 figure 7, with Accepted of RFC 6026
// §7.1. The repetition of a 2xx until its ACK, which RFC 3261 §13.3.1.4 gives to the user, is done here, on
// streams too.
func stepInviteServer(s state, e event, reliable bool) (state, action) {
	switch s {
	case stateProceeding:
		return stepInviteUnanswered(s, e, reliable)
	case stateCompleted:
		return stepInviteRefused(s, e, reliable)
	case stateConfirmed:
		if e == evExpire { // I
			return stateTerminated, 0
		}
		return s, 0
	case stateAccepted, stateAcked:
		return stepInviteAccepted(s, e)
	default:
		return s, 0
	}
}

func stepInviteUnanswered(s state, e event, reliable bool) (state, action) {
	switch e {
	case evRepeat: // 200 ms without an answer
		return s, doSendTrying
	case evRequest, evProvisional, evTrying:
		return s, doStopRepeat | doSend
	case evSuccess:
		return stateAccepted, doArmRepeat | doArmExpire | doSend
	case evForwarded: // a proxy's: the user agent beyond it repeats the 2xx
		return stateAcked, doStopRepeat | doArmExpire | doSend
	case evFailure:
		if reliable { // timer G is for UDP alone
			return stateCompleted, doStopRepeat | doArmExpire | doSend
		}
		return stateCompleted, doArmRepeat | doArmExpire | doSend
	case evForget:
		return stateTerminated, doStopRepeat | doSend
	default:
		return s, 0
	}
}

func stepInviteRefused(s state, e event, reliable bool) (state, action) {
	switch e {
	case evRequest:
		return s, doSend
	case evRepeat: // G
		return s, doSend | doArmRepeat
	case evExpire: // H
		return stateTerminated, doStopRepeat
	case evAck:
		if reliable { // timer I is zero
			return stateTerminated, doStopRepeat
		}
		return stateConfirmed, doStopRepeat | doArmExpire
	default:
		return s, 0
	}
}

// stepInviteAccepted absorbs the INVITE's repetitions until timer L ends.
func stepInviteAccepted(s state, e event) (state, action) {
	acked := s == stateAcked
	switch {
	case e == evAck: // with the INVITE's branch, as some peers send the ACK to a 2xx
		return s, doDeliver
	case e == evAcked:
		return stateAcked, doStopRepeat
	case e == evForwarded && acked:
		return s, doSend
	case e == evRepeat && !acked:
		return s, doSend | doArmRepeat
	case e == evExpire && acked: // L
		return stateTerminated, 0
	case e == evExpire: // 64*T1 of §13.3.1.4
		return stateTerminated, doStopRepeat | doTimeout
	default:
		return s, 0
	}
}
