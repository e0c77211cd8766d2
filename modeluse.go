package tenure

// ModelUse is how many tokens of a model were used, as the provider counted them.
type ModelUse struct {
	Input       int64 // all that the model read, from its cache too
	CacheReads  int64 // of Input, what it had in its cache
	CacheWrites int64 // of Input, what it put there
	Output      int64
}
