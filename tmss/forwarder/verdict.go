package forwarder

// verdict is what becomes of an attempt that ended.
type verdict uint8

const (
	final    verdict = iota + 1 // the answer goes to the caller
	nextPath                    // another path is tried
	wait                        // an earlier copy of the INVITE may still answer
)

// outcome is what is known of the attempt.
type outcome struct {
	status  int  // of the final response
	search  bool // an INVITE outside a dialog: the only request that is tried elsewhere
	rang    bool // the attempt brought a provisional response other than 100
	earlier bool // an earlier copy is still open
}

// judge decides by the table of RFC 3261 §16.7 as the domain narrows it: what only the node in question could
// not do is tried elsewhere; what somebody has decided is final.
func judge(o outcome) verdict {
	switch {
	case !o.search, o.rang:
		return final
	case o.status == 482 && o.earlier:
		return wait
	case o.status == 500, o.status == 502, o.status == 503, o.status == 504:
		return nextPath
	}
	return final
}

// relayed is the status under which a final response goes upstream: a 503 means "this node, now" and is nobody
// else's to say (RFC 3261 §16.7 step 6).
func relayed(status int) int {
	if status == 503 {
		return 500
	}
	return status
}
