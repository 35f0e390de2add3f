/* That a capability's number stands behind its public part, which is what cap.c relies on.
   In a file of its own: these headers define the same names. */
#include "Rts.h"

#undef BLOCK_SIZE
#undef MBLOCK_SIZE
#undef BLOCKS_PER_MBLOCK
#include "DerivedConstants.h"

_Static_assert(
    OFFSET_Capability_no == sizeof(CapabilityPublic),
    "cap.c reads a capability's number right behind CapabilityPublic: this GHC keeps it elsewhere");
