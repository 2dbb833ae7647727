package main

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// first is the first argument, or nothing.
func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// withoutEmpty makes an empty --address mean none.
func withoutEmpty(list []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return strings.TrimSpace(s) == "" })
}

// anyChanged says whether a flag of the command itself was given.
func anyChanged(cmd *cobra.Command) (changed bool) {
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) { changed = changed || f.Changed })
	return changed
}

// clock is a moment in local time; nothing for an absent one.
func clock(m *timestamppb.Timestamp) string {
	if m == nil {
		return ""
	}
	return m.AsTime().Local().Format(time.DateTime)
}

// since is how long ago a moment was, in whole seconds; nothing for an absent one.
func since(m *timestamppb.Timestamp, now time.Time) string {
	if m == nil {
		return ""
	}
	return max(0, now.Sub(m.AsTime())).Round(time.Second).String()
}

// until is how long it is to a moment, in whole seconds.
func until(m *timestamppb.Timestamp, now time.Time) string {
	if m == nil {
		return ""
	}
	return max(0, m.AsTime().Sub(now)).Round(time.Second).String()
}

// flagged joins the words whose condition holds.
func flagged(words map[string]bool) string {
	var set []string
	for word, on := range words {
		if on {
			set = append(set, word)
		}
	}
	slices.Sort(set)
	return strings.Join(set, ",")
}
