package siptx

import (
	"slices"
	"testing"
)

// arrow is one arrow of a figure. Every pair of state and event without an arrow must be no change.
type arrow struct {
	from state
	on   event
	to   state
	do   action
}

func TestMachines(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]struct {
		step     func(state, event, bool) (state, action)
		udp, tcp []arrow
	}{
		"INVITE client": {stepInviteClient, with(inviteClientArrows,
			arrow{stateCalling, evFailure, stateCompleted, doStopRepeat | doArmExpire | doAck | doDeliver},
			arrow{stateCallingCancel, evFailure, stateCompleted, doStopRepeat | doArmExpire | doAck | doDeliver},
			arrow{stateProceeding, evFailure, stateCompleted, doStopRepeat | doArmExpire | doAck | doDeliver},
			arrow{stateCancelling, evFailure, stateCompleted, doStopRepeat | doArmExpire | doAck | doDeliver},
			arrow{stateDeserted, evFailure, stateCompleted, doArmExpire | doAck},
			arrow{stateDesertedAlone, evFailure, stateCompleted, doArmExpire | doAck},
		), with(inviteClientArrows,
			arrow{stateCalling, evFailure, stateTerminated, doStopRepeat | doAck | doDeliver},
			arrow{stateCallingCancel, evFailure, stateTerminated, doStopRepeat | doAck | doDeliver},
			arrow{stateProceeding, evFailure, stateTerminated, doStopRepeat | doAck | doDeliver},
			arrow{stateCancelling, evFailure, stateTerminated, doStopRepeat | doAck | doDeliver},
			arrow{stateDeserted, evFailure, stateTerminated, doAck},
			arrow{stateDesertedAlone, evFailure, stateTerminated, doAck},
		)},
		"plain client": {stepPlainClient, with(plainClientArrows,
			arrow{stateTrying, evSuccess, stateCompleted, doStopRepeat | doArmExpire | doDeliver},
			arrow{stateTrying, evFailure, stateCompleted, doStopRepeat | doArmExpire | doDeliver},
			arrow{stateProceeding, evSuccess, stateCompleted, doStopRepeat | doArmExpire | doDeliver},
			arrow{stateProceeding, evFailure, stateCompleted, doStopRepeat | doArmExpire | doDeliver},
		), with(plainClientArrows,
			arrow{stateTrying, evSuccess, stateTerminated, doStopRepeat | doDeliver},
			arrow{stateTrying, evFailure, stateTerminated, doStopRepeat | doDeliver},
			arrow{stateProceeding, evSuccess, stateTerminated, doStopRepeat | doDeliver},
			arrow{stateProceeding, evFailure, stateTerminated, doStopRepeat | doDeliver},
		)},
		"INVITE server": {stepInviteServer, with(inviteServerArrows,
			arrow{stateProceeding, evFailure, stateCompleted, doArmRepeat | doArmExpire | doSend},
			arrow{stateCompleted, evAck, stateConfirmed, doStopRepeat | doArmExpire},
		), with(inviteServerArrows,
			arrow{stateProceeding, evFailure, stateCompleted, doStopRepeat | doArmExpire | doSend},
			arrow{stateCompleted, evAck, stateTerminated, doStopRepeat},
		)},
		"plain server": {stepPlainServer, with(plainServerArrows,
			arrow{stateTrying, evSuccess, stateCompleted, doArmExpire | doSend},
			arrow{stateTrying, evFailure, stateCompleted, doArmExpire | doSend},
			arrow{stateProceeding, evSuccess, stateCompleted, doArmExpire | doSend},
			arrow{stateProceeding, evFailure, stateCompleted, doArmExpire | doSend},
		), with(plainServerArrows,
			arrow{stateTrying, evSuccess, stateTerminated, doSend},
			arrow{stateTrying, evFailure, stateTerminated, doSend},
			arrow{stateProceeding, evSuccess, stateTerminated, doSend},
			arrow{stateProceeding, evFailure, stateTerminated, doSend},
		)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkArrows(t, m.step, m.udp, false)
			checkArrows(t, m.step, m.tcp, true)
		})
	}
}

func with(all []arrow, more ...arrow) []arrow { return append(slices.Clip(all), more...) }

func checkArrows(t *testing.T, step func(state, event, bool) (state, action), arrows []arrow, reliable bool) {
	t.Helper()
	type pair struct {
		s state
		e event
	}
	want := make(map[pair]arrow)
	for _, a := range arrows {
		want[pair{a.from, a.on}] = a
	}
	if len(want) != len(arrows) {
		t.Fatal("an arrow is listed twice")
	}
	for s := stateCalling; s <= stateTerminated; s++ {
		for e := evTrying; e <= evError; e++ {
			a, ok := want[pair{s, e}]
			if !ok {
				a = arrow{s, e, s, 0}
			}
			if to, do := step(s, e, reliable); to != a.to || do != a.do {
				t.Errorf("reliable %t: state %d, event %d gives state %d, actions %b; want %d, %b",
					reliable, s, e, to, do, a.to, a.do)
			}
		}
	}
}

// inviteClientArrows are figure 5 of RFC 3261 with RFC 6026 §7.2, Timer C and CANCEL, without failures.
var inviteClientArrows = []arrow{
	{stateCalling, evRepeat, stateCalling, doSend | doArmRepeat},
	{stateCalling, evExpire, stateTerminated, doStopRepeat | doTimeout},
	{stateCalling, evGiveUp, stateDeserted, doStopRepeat | doArmExpire | doTimeout},
	{stateCalling, evTrying, stateProceeding, doStopRepeat | doArmExpire | doDeliver},
	{stateCalling, evProvisional, stateProceeding, doStopRepeat | doArmExpire | doDeliver},
	{stateCalling, evSuccess, stateAccepted, doStopRepeat | doArmExpire | doDeliver},
	{stateCalling, evError, stateTerminated, doStopRepeat | doError},
	{stateCalling, evCancel, stateCallingCancel, 0},

	{stateCallingCancel, evRepeat, stateCallingCancel, doSend | doArmRepeat},
	{stateCallingCancel, evExpire, stateTerminated, doStopRepeat | doTimeout},
	{stateCallingCancel, evGiveUp, stateDeserted, doStopRepeat | doArmExpire | doTimeout},
	{stateCallingCancel, evTrying, stateCancelling, doStopRepeat | doArmExpire | doCancel | doDeliver},
	{stateCallingCancel, evProvisional, stateCancelling, doStopRepeat | doArmExpire | doCancel | doDeliver},
	{stateCallingCancel, evSuccess, stateAccepted, doStopRepeat | doArmExpire | doDeliver},
	{stateCallingCancel, evError, stateTerminated, doStopRepeat | doError},

	{stateProceeding, evTrying, stateProceeding, doDeliver},
	{stateProceeding, evProvisional, stateProceeding, doArmExpire | doDeliver},
	{stateProceeding, evSuccess, stateAccepted, doStopRepeat | doArmExpire | doDeliver},
	{stateProceeding, evExpire, stateDesertedAlone, doArmExpire | doCancel | doTimeout},
	{stateProceeding, evCancel, stateCancelling, doArmExpire | doCancel},
	{stateProceeding, evError, stateTerminated, doStopRepeat | doError},

	{stateCancelling, evTrying, stateCancelling, doDeliver},
	{stateCancelling, evProvisional, stateCancelling, doDeliver},
	{stateCancelling, evSuccess, stateAccepted, doStopRepeat | doArmExpire | doDeliver},
	{stateCancelling, evExpire, stateTerminated, doTimeout},
	{stateCancelling, evError, stateTerminated, doStopRepeat | doError},

	{stateAccepted, evSuccess, stateAccepted, doDeliver},
	{stateAccepted, evExpire, stateTerminated, 0},

	{stateCompleted, evFailure, stateCompleted, doAck},
	{stateCompleted, evExpire, stateTerminated, 0},
	{stateCompleted, evError, stateTerminated, 0},

	{stateDeserted, evTrying, stateDesertedAlone, doArmExpire | doCancel},
	{stateDeserted, evProvisional, stateDesertedAlone, doArmExpire | doCancel},
	{stateDeserted, evSuccess, stateDeserted, doStray},
	{stateDeserted, evExpire, stateTerminated, 0},
	{stateDeserted, evError, stateTerminated, 0},
	{stateDesertedAlone, evSuccess, stateDesertedAlone, doStray},
	{stateDesertedAlone, evExpire, stateTerminated, 0},
	{stateDesertedAlone, evError, stateTerminated, 0},
}

// plainClientArrows are figure 6, without final responses.
var plainClientArrows = []arrow{
	{stateTrying, evRepeat, stateTrying, doSend | doArmRepeat},
	{stateTrying, evExpire, stateTerminated, doStopRepeat | doTimeout},
	{stateTrying, evGiveUp, stateTerminated, doStopRepeat | doTimeout},
	{stateTrying, evTrying, stateProceeding, doDeliver},
	{stateTrying, evProvisional, stateProceeding, doDeliver},
	{stateTrying, evError, stateTerminated, doStopRepeat | doError},
	{stateProceeding, evRepeat, stateProceeding, doSend | doArmRepeat},
	{stateProceeding, evExpire, stateTerminated, doStopRepeat | doTimeout},
	{stateProceeding, evTrying, stateProceeding, doDeliver},
	{stateProceeding, evProvisional, stateProceeding, doDeliver},
	{stateProceeding, evError, stateTerminated, doStopRepeat | doError},
	{stateCompleted, evExpire, stateTerminated, 0},
}

// inviteServerArrows are figure 7 with RFC 6026 §7.1, where the transport makes no difference.
var inviteServerArrows = []arrow{
	{stateProceeding, evRepeat, stateProceeding, doSendTrying},
	{stateProceeding, evRequest, stateProceeding, doStopRepeat | doSend},
	{stateProceeding, evTrying, stateProceeding, doStopRepeat | doSend},
	{stateProceeding, evProvisional, stateProceeding, doStopRepeat | doSend},
	{stateProceeding, evSuccess, stateAccepted, doArmRepeat | doArmExpire | doSend},
	{stateProceeding, evForwarded, stateAcked, doStopRepeat | doArmExpire | doSend},
	{stateProceeding, evForget, stateTerminated, doStopRepeat | doSend},

	{stateCompleted, evRequest, stateCompleted, doSend},
	{stateCompleted, evRepeat, stateCompleted, doSend | doArmRepeat},
	{stateCompleted, evExpire, stateTerminated, doStopRepeat},
	{stateConfirmed, evExpire, stateTerminated, 0},

	{stateAccepted, evAck, stateAccepted, doDeliver},
	{stateAccepted, evAcked, stateAcked, doStopRepeat},
	{stateAccepted, evRepeat, stateAccepted, doSend | doArmRepeat},
	{stateAccepted, evExpire, stateTerminated, doStopRepeat | doTimeout},
	{stateAcked, evAck, stateAcked, doDeliver},
	{stateAcked, evAcked, stateAcked, doStopRepeat},
	{stateAcked, evForwarded, stateAcked, doSend},
	{stateAcked, evExpire, stateTerminated, 0},
}

// plainServerArrows are figure 8, without final responses.
var plainServerArrows = []arrow{
	{stateTrying, evTrying, stateProceeding, doSend},
	{stateTrying, evProvisional, stateProceeding, doSend},
	{stateTrying, evForget, stateTerminated, doSend},
	{stateTrying, evExpire, stateTerminated, 0},
	{stateProceeding, evRequest, stateProceeding, doSend},
	{stateProceeding, evTrying, stateProceeding, doSend},
	{stateProceeding, evProvisional, stateProceeding, doSend},
	{stateProceeding, evForget, stateTerminated, doSend},
	{stateProceeding, evExpire, stateTerminated, 0},
	{stateCompleted, evRequest, stateCompleted, doSend},
	{stateCompleted, evExpire, stateTerminated, 0},
}
