//! Named points at which the process kills itself. Compiled in only under the feature `crash-points`.
