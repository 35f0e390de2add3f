/* Labels of Haskell threads: labels.c. */
#ifndef MI_GHC_LABELS_H
#define MI_GHC_LABELS_H

/* From here on what capabilities allocate has the label of the Haskell thread that they run. Any thread. */
void mi_labels_begin(void);

#endif
