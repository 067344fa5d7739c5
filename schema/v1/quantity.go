package v1

import (
	"strconv"

	"reconciler/schema"
)

// milliCPU writes thousandths of a core as cores.
func milliCPU(n int64) schema.Quantity {
	if n%1000 == 0 {
		return schema.Quantity(strconv.FormatInt(n/1000, 10))
	}
	return schema.Quantity(strconv.FormatInt(n, 10) + "m")
}

// bytes writes an amount with the largest unit that makes it a whole number; powers of two go first.
func bytes(n int64) schema.Quantity {
	for _, u := range []struct {
		suffix string
		n      int64
	}{{"Ei", 1 << 60}, {"Pi", 1 << 50}, {"Ti", 1 << 40}, {"Gi", 1 << 30}, {"Mi", 1 << 20}, {"Ki", 1 << 10}, {"G", 1e9}, {"M", 1e6}, {"k", 1e3}} {
		if n != 0 && n%u.n == 0 {
			return schema.Quantity(strconv.FormatInt(n/u.n, 10) + u.suffix)
		}
	}
	return schema.Quantity(strconv.FormatInt(n, 10))
}
