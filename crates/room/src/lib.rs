//! The control plane: roles, seats, hands, presence deltas, placement, tree.
