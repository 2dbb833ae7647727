package siptx

// stepInviteClient is the INVITE client transaction: RFC 3261 §17.1.1 figure 5, with Accepted of RFC 6026
// §7.2, Timer C of §16.6 step 11, and CANCEL after §9.1, which waits for a provisional response. After the
// user was told of a timeout the transaction stays, deserted, so that a late answer is still cancelled or
// acknowledged.
func stepInviteClient(s state, e event, reliable bool) (state, action) {
	switch s {
	case stateCalling, stateCallingCancel:
		return stepCalling(s, e, reliable)
	case stateProceeding, stateCancelling:
		return stepInviteProceeding(s, e, reliable)
	case stateDeserted, stateDesertedAlone:
		return stepDeserted(s, e, reliable)
	case stateAccepted, stateCompleted:
		return stepInviteAnswered(s, e)
	default:
		return s, 0
	}
}

func stepCalling(s state, e event, reliable bool) (state, action) {
	switch e {
	case evRepeat: // A
		return s, doSend | doArmRepeat
	case evExpire: // B
		return stateTerminated, doStopRepeat | doTimeout
	case evGiveUp:
		return stateDeserted, doStopRepeat | doArmExpire | doTimeout
	case evTrying, evProvisional:
		if s == stateCallingCancel {
			return stateCancelling, doStopRepeat | doArmExpire | doCancel | doDeliver
		}
		return stateProceeding, doStopRepeat | doArmExpire | doDeliver
	case evCancel:
		return stateCallingCancel, 0
	default:
		return stepInviteFinal(s, e, reliable)
	}
}

func stepInviteProceeding(s state, e event, reliable bool) (state, action) {
	cancelled := s == stateCancelling
	switch {
	case e == evTrying, e == evProvisional && cancelled:
		return s, doDeliver
	case e == evProvisional:
		return s, doArmExpire | doDeliver
	case e == evCancel && cancelled:
		return s, 0
	case e == evCancel:
		return stateCancelling, doArmExpire | doCancel
	case e == evExpire && cancelled: // 64*T1 after the CANCEL, §9.1
		return stateTerminated, doTimeout
	case e == evExpire: // C, §16.8
		return stateDesertedAlone, doArmExpire | doCancel | doTimeout
	default:
		return stepInviteFinal(s, e, reliable)
	}
}

// stepInviteFinal is what ends the wait for a final response, equal in all states that wait.
func stepInviteFinal(s state, e event, reliable bool) (state, action) {
	switch e {
	case evSuccess:
		return stateAccepted, doStopRepeat | doArmExpire | doDeliver
	case evFailure:
		if reliable { // timer D is zero
			return stateTerminated, doStopRepeat | doAck | doDeliver
		}
		return stateCompleted, doStopRepeat | doArmExpire | doAck | doDeliver
	case evError:
		return stateTerminated, doStopRepeat | doError
	default:
		return s, 0
	}
}

func stepInviteAnswered(s state, e event) (state, action) {
	switch {
	case e == evExpire: // M, D
		return stateTerminated, 0
	case s == stateAccepted && e == evSuccess:
		return s, doDeliver
	case s == stateCompleted && e == evFailure:
		return s, doAck
	case s == stateCompleted && e == evError:
		return stateTerminated, 0
	default:
		return s, 0
	}
}

func stepDeserted(s state, e event, reliable bool) (state, action) {
	switch e {
	case evTrying, evProvisional:
		if s == stateDesertedAlone {
			return s, 0
		}
		return stateDesertedAlone, doArmExpire | doCancel
	case evSuccess:
		return s, doStray
	case evFailure:
		if reliable {
			return stateTerminated, doAck
		}
		return stateCompleted, doArmExpire | doAck
	case evExpire, evError:
		return stateTerminated, 0
	default:
		return s, 0
	}
}
