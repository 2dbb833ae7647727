// Package routetable keeps every path that neighbours and operators gave to every number, user and domain,
// and says which is best and why. It is pure: no I/O, no clock, no goroutine. What came in any order gives
// the same table. It does not decide what may come in or go out (see policy) and does not talk to
// neighbours (see pkg/exchange). Start at [Table.Apply] and [Table.Lookup].
package routetable
