package siptx

// The four machines of RFC 3261 §17, with RFC 6026, are pure: step functions from a state and an event to
// the next state and what is to be done. They are in inviteclient.go, plainclient.go, inviteserver.go and
// plainserver.go; the shells around them are [ClientTx] and [ServerTx].

// state is where a transaction stands. Not every machine has all states.
type state uint8

const (
	stateCalling       state = iota + 1 // INVITE client: nothing came back yet
	stateCallingCancel                  // the same, to be cancelled when a provisional response comes
	stateTrying                         // non-INVITE, both sides: nothing came back yet
	stateProceeding                     // a provisional response came, or the user has not answered
	stateCancelling                     // INVITE client: CANCEL is sent, the final response awaited
	stateCompleted                      // a final response that is not a 2xx to INVITE
	stateConfirmed                      // INVITE server: that response was acknowledged
	stateAccepted                       // 2xx to INVITE (RFC 6026)
	stateAcked                          // INVITE server: that 2xx was acknowledged
	stateDeserted                       // INVITE client: the user was told of a timeout, the peer may still answer
	stateDesertedAlone                  // the same, CANCEL is sent
	stateTerminated
)

// open says whether a final response is still to come.
func (s state) open() bool {
	switch s {
	case stateCalling, stateCallingCancel, stateTrying, stateProceeding, stateCancelling:
		return true
	default:
		return false
	}
}

// event is what happens to a transaction.
type event uint8

const (
	evTrying      event = iota + 1 // 100
	evProvisional                  // 101–199
	evSuccess                      // 2xx
	evFailure                      // 3xx–6xx
	evForwarded                    // server: 2xx to INVITE that somebody else repeats
	evRequest                      // server: the request again
	evAck                          // server: an ACK that belongs to the transaction
	evAcked                        // server: the user matched the ACK to the 2xx
	evForget                       // server: the user answers without state
	evRepeat                       // timers A, E, G, the repetition of a 2xx, or the one for our own 100
	evExpire                       // the long timer of the state: B, C, D, F, H, I, J, K, L or M
	evGiveUp                       // client: the user's own limit passed without any response
	evCancel                       // client: the user wants CANCEL
	evError                        // client: the transport failed
)

// action is a set of things to do, in the order of the constants.
type action uint16

const (
	doStopRepeat action = 1 << iota // end the timer of evRepeat
	doArmRepeat                     // start it (again)
	doArmExpire                     // start the long timer of the new state
	doSend                          // send the request, or the last response
	doSendTrying                    // server: send a 100 of our own
	doAck                           // client: send the ACK to a failure
	doCancel                        // client: send CANCEL
	doDeliver                       // give the message to the user
	doStray                         // client: give the 2xx to Handler.Stray
	doTimeout                       // client: OnTimeout; server: the function of OnNoAck
	doError                         // client: OnSendError
)

func (a action) has(b action) bool { return a&b != 0 }
