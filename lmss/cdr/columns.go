package cdr

import (
	"strconv"
	"time"
)

// Columns are the headings of Row, for tables that people read.
func Columns() []string {
	return []string{"SETUP", "CALLER", "CALLED", "CALLEE", "STATUS", "DURATION", "END", "BY", "REASON", "FLAGS"}
}

// Row is the record under Columns. Times are in loc; absent values are "-".
func (r *Record) Row(loc *time.Location) []string {
	return []string{
		clock(r.SetupAt, loc),
		orDash(r.Caller), orDash(r.Called), orDash(r.Callee),
		status(r.Status), duration(r), orDash(string(r.Termination.Class)), orDash(string(r.Termination.By)),
		orDash(r.Termination.Reason), r.flags(),
	}
}

func clock(t time.Time, loc *time.Location) string {
	if t.IsZero() {
		return "-"
	}
	return t.In(loc).Format("2006-01-02 15:04:05")
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func status(code int) string {
	if code == 0 {
		return "-"
	}
	return strconv.Itoa(code)
}

func duration(r *Record) string {
	if !r.Answered() {
		return "-"
	}
	return r.Duration().Round(100 * time.Millisecond).String()
}

// flags are R for recovered and U for unprotected.
func (r *Record) flags() string {
	s := ""
	if r.Recovered {
		s += "R"
	}
	if r.Unprotected {
		s += "U"
	}
	return orDash(s)
}
